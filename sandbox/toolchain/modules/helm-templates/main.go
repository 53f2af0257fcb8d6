// Command helm-templates renders many charts in one process, each as `helm template NAME CHART --include-crds` would.
//
// It reads a JSON array of charts and writes a JSON array of their manifests. Where a chart does not render, its text is
// empty: why is left to Helm itself, which says it in words of its own.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/cli/values"
)

type asked struct {
	Name      string   `json:"name"`
	Chart     string   `json:"chart"`
	Namespace string   `json:"namespace"`
	Values    []string `json:"values"`
}

func main() {
	var charts []asked
	if err := json.NewDecoder(os.Stdin).Decode(&charts); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
	texts, numbers := make([]string, len(charts)), make(chan int)
	var working sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		working.Go(func() {
			for number := range numbers {
				if text, err := render(charts[number]); err == nil {
					texts[number] = text
				}
			}
		})
	}
	for number := range charts {
		numbers <- number
	}
	close(numbers)
	working.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(texts); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func render(one asked) (string, error) {
	given, err := (&values.Options{ValueFiles: one.Values}).MergeValues(nil)
	if err != nil {
		return "", err
	}
	chart, err := loader.Load(one.Chart)
	if err != nil {
		return "", err
	}
	if chart.Metadata.Type == "library" {
		return "", errors.New("a library is not installed")
	}
	if err := action.CheckDependencies(chart, chart.Metadata.Dependencies); err != nil {
		return "", err
	}
	install := action.NewInstall(&action.Configuration{Log: func(string, ...interface{}) {}})
	install.ReleaseName, install.Namespace = one.Name, one.Namespace
	install.ClientOnly, install.DryRun, install.Replace, install.IncludeCRDs = true, true, true, true
	made, err := install.Run(chart, given)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(made.Manifest) + "\n"
	for _, hook := range made.Hooks {
		text += fmt.Sprintf("---\n# Source: %s\n%s\n", hook.Path, hook.Manifest)
	}
	return text, nil
}
