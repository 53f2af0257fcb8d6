"""The process behind the AWS API: ``python -m sandbox.aws.server <settings file>``.

Moto's own application, with a door in front that answers only requests signed in the name of a known access key.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.sts.models import sts_backends
from werkzeug.serving import make_server

from sandbox.aws import ecr
from sandbox.aws.settings import AwsSettings

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_SCOPE = re.compile(r"Credential=([^/,\s]+)/\d{8}/[^/,\s]*/([^/,\s]+)/aws4_request")


def signer(environ: Environ) -> tuple[str, str]:
    """Access key id and service of a request signed by Signature Version 4 (header or query); empty where unsigned."""
    credential = environ.get("HTTP_AUTHORIZATION", "")
    if "X-Amz-Credential" in environ.get("QUERY_STRING", ""):
        credential = "Credential=" + parse_qs(environ["QUERY_STRING"])["X-Amz-Credential"][0]
    found = _SCOPE.search(credential)
    return (found[1], found[2]) if found else ("", "")


def issued(key: str) -> bool:
    """Whether moto's STS or IAM handed this access key out (AssumeRole, CreateAccessKey)."""
    partitions = [partition for backends in (sts_backends, iam_backends) for partition in backends.values()]
    for backend in (backend for partition in partitions for backend in partition.values()):
        if any(role.access_key_id == key for role in getattr(backend, "assumed_roles", [])):
            return True
        if key in getattr(backend, "access_keys", {}):
            return True
    return False


def guarded(application: Wsgi, access_key: str) -> Wsgi:
    """Put the door before an application: 403 in the service's own error shape for a foreign or missing signature."""

    def door(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        key, service = signer(environ)
        if key and (key == access_key or issued(key)):
            return application(environ, start_response)
        message = (
            f"The access key id {key!r} is not one of this sandbox; use its credentials file."
            if key
            else "The request is not signed; use the sandbox's credentials file."
        )
        body, kind = _refusal(environ, service, message)
        start_response("403 Forbidden", [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body] if environ["REQUEST_METHOD"] != "HEAD" else []

    return door


def _refusal(environ: Environ, service: str, message: str) -> tuple[bytes, str]:
    if "HTTP_X_AMZ_TARGET" in environ:
        return json.dumps({"__type": "UnrecognizedClientException", "message": message}).encode(), (
            "application/x-amz-json-1.1"
        )
    code = "InvalidAccessKeyId" if service == "s3" else "InvalidClientTokenId"
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    if service != "s3":
        error = f"<ErrorResponse>{error}<RequestId>none</RequestId></ErrorResponse>"
    return f'<?xml version="1.0" encoding="UTF-8"?>{error}'.encode(), "text/xml"


def main() -> None:
    """Serve until ended."""
    settings = AwsSettings.read(Path(sys.argv[1]))
    # A line a request would bury what matters: a release makes thousands.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    ecr.correct(settings)
    application = guarded(DomainDispatcherApplication(create_backend_app), settings.access_key)
    server = make_server(settings.host, settings.port, application, threaded=True, request_handler=MotoRequestHandler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main()
