"""A slow or broken network: what speaks to a port of this machine goes through a proxy, as long as it is needed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sandbox.world import HOST
from symphony import tool

_MARK = 77
"""Of the proxy's own connections, which are not led back to it."""
_CHUNK = 1 << 16


@dataclass
class Network:
    """The way to one port.

    Attributes:
        port: The port.
        host: Its address: loopback, or the bridge, where pods reach it too.
        delay: Seconds that each piece of data takes, in either direction.
        carried: How many pieces were carried.
        broken: How many connections were broken or refused.
    """

    port: int
    host: str = HOST
    delay: float = 0.0
    carried: int = 0
    broken: int = 0
    _down: bool = False
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def cut(self) -> None:
        """Break all connections, and refuse new ones until `mend`."""
        self._down = True
        self._loop.call_soon_threadsafe(self._break)

    def mend(self) -> None:
        """Let connections through again."""
        self._down = False

    def _break(self) -> None:
        self.broken += len(self._ends) // 2
        for end in self._ends:
            end.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection to the port, both ways, until either end is over."""
        if self._down:
            self.broken += 1
            writer.transport.abort()
            return
        there = socket.socket()
        there.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, _MARK)
        there.settimeout(0)  # as asyncio wants it
        try:
            await self._loop.sock_connect(there, (self.host, self.port))
        except OSError:
            writer.transport.abort()
            return
        answers, asks = await asyncio.open_connection(sock=there)
        self._ends |= {writer, asks}
        try:
            await asyncio.gather(self._pipe(reader, asks), self._pipe(answers, writer))
        finally:
            self._ends -= {writer, asks}

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                self.carried += 1
                await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        writer.close()


@contextmanager
def network(port: int, host: str = HOST) -> Iterator[Network]:
    """The way that new connections of this machine to a port of its own take meanwhile."""
    made = Network(port, host)
    loop = made._loop  # noqa: SLF001 - made here
    server = loop.run_until_complete(asyncio.start_server(made.carry, HOST, 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    rule = ["OUTPUT", "-p", "tcp", "-d", host, "--dport", str(port), "-m", "mark", "!", "--mark", str(_MARK)]
    rule += ["-j", "REDIRECT", "--to-ports", str(server.sockets[0].getsockname()[1])]
    tool.run(["iptables", "-t", "nat", "-I", *rule])
    try:
        yield made
    finally:
        tool.run(["iptables", "-t", "nat", "-D", *rule])
        made.cut()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
