"""The AWS API of the sandbox: moto's server in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.aws.credentials import aws_environment

if TYPE_CHECKING:
    from sandbox.aws.part import Aws

__all__ = ["Aws", "aws_environment"]


def __getattr__(name: str) -> Any:
    """Import the part, and boto3 with it, only where it is asked for."""
    if name == "Aws":
        from sandbox.aws.part import Aws  # noqa: PLC0415 - see above

        return Aws
    raise AttributeError(name)
