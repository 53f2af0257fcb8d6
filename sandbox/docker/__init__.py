"""The Docker engine that builds: the one that runs on this machine, or a private one of the sandbox."""

from sandbox.docker.part import Docker

__all__ = ["Docker"]
