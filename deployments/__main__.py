"""``python -m deployments``: what `symphony deploy-flows` does, for processes that may not import this package.

With ``--wait SECONDS`` it loads everything first, then waits for a server that is just starting.
"""

from __future__ import annotations

import os
import sys

from deployments.apply import deploy_flows
from deployments.client import PrefectApi
from symphony.errors import BadInputError, SymphonyError

if __name__ == "__main__":
    try:
        server = PrefectApi(os.environ.get("PREFECT_API_URL", ""), os.environ.get("PREFECT_API_AUTH_STRING", ""))
        if "--wait" in sys.argv:
            from deployments import prefect_api  # noqa: F401 - loaded while the server starts

            server.wait(float(sys.argv[-1]))
        done = deploy_flows(server)
    except SymphonyError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2 if isinstance(error, BadInputError) else 1)
    sys.stdout.write(f"{len(done.changed)} of {len(done.deployments)} deployments changed in {done.seconds:.1f} s\n")
