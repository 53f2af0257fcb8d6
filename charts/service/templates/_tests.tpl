{{/* A pod of `helm test`. Takes root, name and test. It is kept for its log until the next time. */}}
{{- define "service.test" -}}
{{- $name := include "service.name" .root -}}
{{- $annotations := dict "helm.sh/hook" "test" "helm.sh/hook-delete-policy" "before-hook-creation" -}}
{{- $names := dict "account" $name "config" (include "service.config.name" .root) "secret" $name -}}
{{- $env := dict "URL" (printf "http://%s" $name) -}}
{{- $pod := dict "root" .root "command" .test.command "env" $env -}}
{{- with .test.image }}
{{- $_ := set $pod "image" . }}
{{- end -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ $name }}-test-{{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "service.labels.beside" (dict "root" .root "component" "test") | nindent 4 }}
  annotations:
    {{- toYaml $annotations | nindent 4 }}
spec:
  {{- include "service.pod" (merge $pod $names) | nindent 2 }}
{{- end }}
