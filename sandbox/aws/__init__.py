"""The AWS API of the sandbox: moto's server in a process of its own."""

from sandbox.aws.credentials import aws_environment
from sandbox.aws.part import Aws

__all__ = ["Aws", "aws_environment"]
