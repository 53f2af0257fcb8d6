"""Argo CD, run on the host against the sandbox's cluster."""

from sandbox.argocd.part import ArgoCD
from sandbox.argocd.session import login

__all__ = ["ArgoCD", "login"]
