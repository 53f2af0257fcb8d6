"""One process of the AWS provider that tofu attaches to instead of starting one: watched, and gone with its run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

ATTACH = "TF_REATTACH_PROVIDERS"
"""The variable by which tofu takes providers that run already."""
_PRINTED = re.compile(rf"{ATTACH}='(\{{.*\}})'")
_BOUND = ("setpriv", "--pdeathsig", "KILL")
"""Has the kernel end what it starts when the thread that started it ends, also by a kill -9 of this process."""
_START_SECONDS = 60.0
_LOOK_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_POLL_SECONDS = 0.05
_HEADERS = {"content-type": "application/grpc", "te": "trailers"}
_HEALTH = "http://provider/grpc.health.v1.Health/Check"
_QUESTION, _SERVING = b"\0\0\0\0\x08\n\x06plugin", b"\0\0\0\0\x02\x08\x01"
"""The health service's request for ``plugin`` and its answer SERVING, framed as gRPC frames messages."""


@dataclass(frozen=True)
class Installed:
    """A provider as ``tofu init`` installed it.

    Attributes:
        address: What OpenTofu calls it, such as ``registry.opentofu.org/hashicorp/aws``.
        binary: The program.
    """

    address: str
    binary: Path


def can_start() -> bool:
    """Whether this machine can bind a process to its run."""
    return shutil.which(_BOUND[0]) is not None


class ProviderProcess:
    """A provider that runs until `end`, until it fails to answer, or until this process ends, however that ends.

    Its socket is in a folder that nobody but the user can enter, for whoever reaches it acts with its credentials.

    Attributes:
        installed: The provider that it is.
    """

    def __init__(self, installed: Installed, environment: Mapping[str, str]) -> None:
        """Start it; it may not come up, which `attach` tells.

        Args:
            installed: The provider.
            environment: Variables added to this process's own: its credentials are among them.
        """
        self.installed = installed
        self._environment = environment
        self._ended = threading.Event()
        self._up = threading.Event()
        self._attach = ""
        # The process is bound to the thread that starts it, so that thread stays.
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()
        self._up.wait()

    @property
    def attach(self) -> str:
        """What `ATTACH` is set to for tofu; empty where the provider does not serve."""
        return self._attach

    def answers(self) -> bool:
        """Whether it answers the question for its health."""
        if not self._attach:
            return False
        try:
            return self._client.post(_HEALTH, content=_QUESTION, headers=_HEADERS).content == _SERVING
        except (httpx.HTTPError, RuntimeError):
            # It is closed where the provider ended meanwhile.
            return False

    def end(self) -> None:
        """End it; it only ever reads, so nothing is lost."""
        self._ended.set()
        self._keeper.join()

    def _keep(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="symphony-provider-"))
        printed = folder / "printed"
        try:
            with printed.open("w", encoding="utf-8") as out:
                process = subprocess.Popen(
                    [*_BOUND, str(self.installed.binary), "-debug"],
                    cwd=folder,
                    # Go makes its socket where this says.
                    env={**os.environ, **self._environment, "TMPDIR": str(folder)},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            try:
                self._watch(process, printed)
            finally:
                if self._attach:
                    self._attach = ""
                    self._client.close()
                process.kill()
                process.wait()
        except OSError:
            return
        finally:
            self._up.set()
            shutil.rmtree(folder, ignore_errors=True)

    def _watch(self, process: subprocess.Popen[bytes], printed: Path) -> None:
        """Return when it is to end, has ended, or does not answer."""
        if not self._lives(process, _START_SECONDS, printed):
            return
        self._up.set()
        while self._lives(process, _LOOK_SECONDS) and self.answers():
            pass

    def _lives(self, process: subprocess.Popen[bytes], seconds: float, printed: Path | None = None) -> bool:
        """Whether it lives for some seconds more, or until it has printed how to attach to it."""
        waited = 0.0
        while process.poll() is None:
            if printed and self._read(printed):
                return True
            if waited >= seconds:
                return printed is None
            if self._ended.wait(_POLL_SECONDS):
                return False
            waited += _POLL_SECONDS
        return False

    def _read(self, printed: Path) -> bool:
        found = _PRINTED.search(printed.read_text(encoding="utf-8", errors="replace"))
        if not found:
            return False
        with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
            # It calls itself by the registry that it was made for.
            (how,) = json.loads(found[1]).values()
            transport = httpx.HTTPTransport(uds=str(how["Addr"]["String"]), http1=False, http2=True)
            # One for all questions: making one costs more than asking a thousand.
            self._client = httpx.Client(transport=transport, timeout=_ANSWER_SECONDS)
            self._attach = json.dumps({self.installed.address: how})
        return bool(self._attach)
