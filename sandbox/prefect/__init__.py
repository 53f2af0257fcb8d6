"""Prefect as the sandbox runs it: one server, one worker, and the environment that flows find."""

from sandbox.prefect.environment import client_environment, worker_environment
from sandbox.prefect.part import Prefect

__all__ = ["Prefect", "client_environment", "worker_environment"]
