"""Counts the requests that reach a service, by standing before it on loopback."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sandbox.world import HOST

_REQUEST = re.compile(rb"(?:^|[^A-Z])(?P<method>GET|HEAD|POST|PUT|PATCH|DELETE) (?P<path>/\S*) HTTP/1\.1\r\n")
_TARGET = re.compile(rb"\r\nx-amz-target: \w*\.(\w+)\r\n", re.IGNORECASE)
_BYTES = 65536
_OVERLAP = 4096
"""So much of what came before is looked at again, since a request's first line may come in two pieces."""


class Counted:
    """A service over plain HTTP and what was asked of it since `take` was called last.

    Attributes:
        url: The address that stands for the service.
    """

    def __init__(self, host: str, port: int) -> None:
        """Stand before a service; nothing listens yet."""
        self.url = ""
        self._host, self._port = host, port
        self._seen: Counter[str] = Counter()

    def take(self) -> Counter[str]:
        """The requests since it was called last, by AWS's operation or else by method and path."""
        seen, self._seen = self._seen, Counter()
        return seen

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand a connection on, both ways."""
        with suppress(OSError):
            there, back = await asyncio.open_connection(self._host, self._port)
            await asyncio.gather(self._pump(reader, back, count=True), self._pump(there, writer, count=False))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool) -> None:
        kept = b""
        with suppress(OSError):
            while chunk := await reader.read(_BYTES):
                if count:
                    kept = self._count(kept + chunk)
                writer.write(chunk)
                await writer.drain()
        with suppress(OSError):
            writer.close()

    def _count(self, text: bytes) -> bytes:
        """Count the whole requests' first lines in it, and give back what may be the beginning of one."""
        end = 0
        for found in _REQUEST.finditer(text):
            end = found.end()
            operation = _TARGET.search(text, end - 2, text.find(b"\r\n\r\n", end) + 2)
            name = operation[1] if operation else found["method"] + b" " + found["path"].partition(b"?")[0]
            self._seen[name.decode(errors="replace")] += 1
        return text[max(end, len(text) - _OVERLAP) :]


@contextmanager
def counted(**services: tuple[str, int]) -> Iterator[dict[str, Counted]]:
    """Stand before services, given as host and port, for as long as it is needed."""
    found = {name: Counted(*service) for name, service in services.items()}
    loop = asyncio.new_event_loop()

    async def listen() -> None:
        for one in found.values():
            server = await asyncio.start_server(one.serve, HOST, 0)
            one.url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"

    loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
