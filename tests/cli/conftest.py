from __future__ import annotations

from tests.flows.conftest import platform

__all__ = ["platform"]
