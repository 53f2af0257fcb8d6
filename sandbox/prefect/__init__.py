"""Prefect as the sandbox runs it: one server, one worker, and the environment that flows find."""

from sandbox.prefect.environment import client_environment, worker_environment
from sandbox.prefect.part import Prefect
from sandbox.prefect.replicas import Replicas

__all__ = ["Prefect", "Replicas", "client_environment", "worker_environment"]
