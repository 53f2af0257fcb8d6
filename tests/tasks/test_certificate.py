"""Certificates by a real TLS handshake, with a server on loopback."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from symphony.errors import SmokeError
from symphony.smoke import Expected
from tasks.answer import Answer, Target, ask, open_client
from tasks.certificate import trust
from tests.authority import Authority

if TYPE_CHECKING:
    from tests.conftest import Delivery

HOST = "one.dev.localhost"


@contextlib.contextmanager
def serving(folder: Path, host: str, days: float, authority: Authority) -> Iterator[str]:
    """A TLS server's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            del format, args

    for name, pem in zip(("cert", "key"), authority.give(host, days), strict=True):
        (folder / name).write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def asked(folder: Path, days: float, host: str = HOST, *, known: bool = True) -> Answer:
    authority = Authority()
    trusted = ssl.create_default_context()
    if known:
        trusted.load_verify_locations(cadata=authority.pem.decode())
    with serving(folder, host, days, authority) as base, open_client(trusted) as http:
        return ask(http, Target("one", HOST, "/", base, Expected()), {})


def test_a_good_one_tells_its_issuer_and_its_days(tmp_path: Path) -> None:
    found = asked(tmp_path, 10)
    assert found.status == 200
    assert found.certificate is not None
    assert 9.9 < found.certificate.days < 10
    assert str(found.certificate).startswith("by Tests ends in 10.0 days, on 2")


def test_one_that_has_ended_is_told(tmp_path: Path) -> None:
    assert asked(tmp_path, -1).failure == "its certificate is not good: certificate has expired"


def test_one_of_another_host_is_told(tmp_path: Path) -> None:
    told = asked(tmp_path, 10, "two.dev.localhost").failure
    assert told.startswith("its certificate is not good: Hostname mismatch")
    assert HOST in told


def test_one_of_an_authority_that_nobody_knows_is_told(tmp_path: Path) -> None:
    told = asked(tmp_path, 10, known=False).failure
    assert told == "its certificate is not good: unable to get local issuer certificate"


def test_an_authority_of_the_environments_own_is_a_file_of_the_repository(delivery: Delivery) -> None:
    change = delivery.change()
    environment = change.target
    way = environment.ingress.model_copy(update={"authority": "ca.pem"})
    changed = environment.model_copy(update={"ingress": way})
    configuration = change.configuration.model_copy(update={"environments": {"dev": changed}})
    object.__setattr__(change, "configuration", configuration)
    with pytest.raises(SmokeError, match=r"^ca\.pem, which symphony\.yaml names as ingress\.authority of dev, is no"):
        trust(change)
    authority = Authority()
    (delivery.copy / "ca.pem").write_bytes(authority.pem)
    subjects = [dict(part[0] for part in one["subject"]) for one in trust(change).get_ca_certs()]
    assert {"commonName": "Tests"} in subjects
