"""A program that is started and asked as the AWS provider is, for tests of what shares one."""

from __future__ import annotations

import sys
from pathlib import Path

PROGRAM = r"""
import json, os, socket, sys, threading

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded

if os.environ.get("FAKE_PROVIDER") == "down" or sys.argv[1:] != ["-debug"]:
    sys.exit(1)
path = os.path.join(os.environ["TMPDIR"], "plugin123")
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
how = {"Protocol": "grpc", "Pid": os.getpid(), "Test": True, "Addr": {"Network": "unix", "String": path}}
text = json.dumps({"registry.terraform.io/hashicorp/aws": how})
print("Provider started, to attach Terraform set the TF_REATTACH_PROVIDERS env var:\n")
print(f"\tTF_REATTACH_PROVIDERS='{text}'\n", flush=True)

def serve(peer):
    connection = H2Connection(H2Configuration(client_side=False))
    connection.initiate_connection()
    peer.sendall(connection.data_to_send())
    while data := peer.recv(65535):
        for event in connection.receive_data(data):
            if isinstance(event, StreamEnded):
                headers = [(":status", "200"), ("content-type", "application/grpc")]
                connection.send_headers(event.stream_id, headers)
                connection.send_data(event.stream_id, b"\0\0\0\0\2\x08\1")
                connection.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
        peer.sendall(connection.data_to_send())

while True:
    peer, _ = server.accept()
    threading.Thread(target=serve, args=(peer,), daemon=True).start()
"""


def write(file: Path) -> Path:
    """Make the program."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!{sys.executable}\n{PROGRAM}", encoding="utf-8")
    file.chmod(0o755)
    return file
