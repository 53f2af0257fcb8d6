"""ECR's registry as the sandbox plays it: an OCI registry behind a gate that behaves as ECR does."""

from sandbox.registry.part import Registry

__all__ = ["Registry"]
