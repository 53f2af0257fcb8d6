"""A stand-in for the way between a Docker engine and its registry: it breaks, and it tells what passes."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_PUT = re.compile(rb"^PUT /v2/\S+/manifests/(\S+) ")
_CHUNK = 1 << 16


@dataclass
class Gateway:
    """What it does at present.

    Attributes:
        target: Port of the registry.
        port: Its own.
        cut: Bytes towards the registry after which one connection is cut, once; 0 for never.
        cuts: How many were cut.
        before_put: Called with the tag before a manifest is let through.
    """

    target: int
    port: int = 0
    cut: int = 0
    cuts: int = 0
    before_put: Callable[[str], object] = lambda _: None

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                upstream = socket.create_connection(("127.0.0.1", self.target))
                for way in ((client, upstream), (upstream, client)):
                    threading.Thread(target=self.pass_on, args=way, daemon=True).start()

    def pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        """One direction of a connection, until either side ends it."""
        towards, passed = sink.getpeername()[1] == self.target, 0
        with suppress(OSError):
            while chunk := source.recv(_CHUNK):
                if towards and (found := _PUT.match(chunk)):
                    self.before_put(found[1].decode())
                passed += len(chunk)
                if towards and self.cut and passed > self.cut:
                    self.cut, self.cuts = 0, self.cuts + 1
                    break
                sink.sendall(chunk)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def before(port: int) -> Iterator[Gateway]:
    """A gateway before a registry on this machine, for as long as it is needed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gateway = Gateway(port, listener.getsockname()[1])
        threading.Thread(target=gateway.serve, args=(listener,), daemon=True).start()
        yield gateway
        listener.shutdown(socket.SHUT_RDWR)
