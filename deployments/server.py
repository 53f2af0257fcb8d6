"""What a Prefect server has already, asked without loading Prefect: a warm check takes a tenth of a second."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deployments.listing import Declared
from symphony.errors import BadInputError, TransientError

_SECONDS = 10.0
_MANY = 200
_INPUTS = ("prefect.yaml", "symphony.yaml", "requirements.lock")
_SOURCES = ("deployments", "flows", "symphony")
"""Folders whose code decides what a deployment is: the list's reader, flows with their parameters, and types."""


@dataclass(frozen=True)
class Server:
    """A Prefect server's API.

    Attributes:
        url: Address of the API, as in ``PREFECT_API_URL``.
        auth: User and password, as in ``PREFECT_API_AUTH_STRING``; empty where it asks for none.
    """

    url: str
    auth: str

    @classmethod
    def named(cls) -> Server:
        """The server that the environment names.

        Raises:
            BadInputError: None is named; Prefect would quietly start one of its own, which ends with the command.
        """
        url = os.environ.get("PREFECT_API_URL")
        if not url:
            raise BadInputError(
                "PREFECT_API_URL is not set; set it and PREFECT_API_AUTH_STRING, or start the sandbox by `symphony up`."
            )
        return cls(url.rstrip("/"), os.environ.get("PREFECT_API_AUTH_STRING", ""))

    def ask(self, path: str, question: dict[str, Any]) -> Any:
        """Post a question to the API.

        Raises:
            BadInputError: The server refuses the credentials.
            TransientError: It does not answer, or not well.
        """
        user, _, password = self.auth.partition(":")
        credentials = httpx.BasicAuth(user, password) if self.auth else None
        try:
            answer = httpx.post(f"{self.url}{path}", json=question, auth=credentials, timeout=_SECONDS)
        except httpx.HTTPError as error:
            raise TransientError(f"The Prefect server at {self.url} does not answer: {error}") from error
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise BadInputError(f"The Prefect server at {self.url} refuses PREFECT_API_AUTH_STRING; set the right one.")
        if answer.is_error:
            raise TransientError(f"The Prefect server at {self.url} answered {answer.status_code} to {path}.")
        return answer.json()

    def versions(self) -> dict[str, str]:
        """Version of each deployment, by its whole name."""
        flows = {flow["id"]: flow["name"] for flow in self._all("/flows/filter")}
        return {
            f"{flows.get(one['flow_id'], '?')}/{one['name']}": one["version"] or ""
            for one in self._all("/deployments/filter")
        }

    def _all(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while page := self.ask(path, {"limit": _MANY, "offset": len(found)}):
            found += page
            if len(page) < _MANY:
                break
        return found


def fingerprint(root: Path, declared: Sequence[Declared]) -> str:
    """Twelve digits that stand for all that decides what the deployments are; each carries them as its version.

    Args:
        root: Folder with ``prefect.yaml`` and the code.
        declared: Deployments that are asked for.
    """
    total = hashlib.sha256("\0".join(one.full_name for one in declared).encode())
    files = [root / name for name in _INPUTS]
    files += [file for folder in _SOURCES for file in sorted((root / folder).glob("*.py"))]
    for file in files:
        if file.exists():
            total.update(f"\0{file.relative_to(root)}\0".encode() + file.read_bytes())
    return total.hexdigest()[:12]
