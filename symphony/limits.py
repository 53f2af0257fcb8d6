"""Names of the concurrency limits that keep runs from each other's work."""

from __future__ import annotations


def deploy_limit(environment: str, application: str) -> str:
    """The lock on one application in one environment: deploy, promote, rollback and watch all take it."""
    return f"deploy-{environment}-{application}"


def unit_limit(environment: str, unit: str) -> str:
    """The lock on one Terragrunt unit in one environment: whatever plans it to apply it takes it."""
    return f"unit-{environment}-{unit.replace('/', '-')}"
