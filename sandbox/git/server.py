"""The Git server's process: ``python -m sandbox.git.server <settings file>``."""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn

from sandbox.git.http import application
from sandbox.git.settings import GitSettings


def main() -> None:
    """Serve until ended."""
    settings = GitSettings.read(Path(sys.argv[1]))
    uvicorn.run(
        application(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
