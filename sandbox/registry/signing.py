"""The key pair that signs the sandbox's images, made by cosign at first use."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from sandbox.world import World
from symphony import tool
from symphony.errors import BadInputError

_LIMIT_SECONDS = 30.0


def signing_environment(world: World) -> dict[str, str]:
    """Variables in which cosign finds the keys as ``env://COSIGN_PRIVATE_KEY`` and ``env://COSIGN_PUBLIC_KEY``.

    The private key is encrypted; its password is a secret of the sandbox, readable by the owner alone. Without cosign
    there is no key, and a flow that needs one says so.
    """
    folder = world.state / "signing"
    if not folder.exists():
        try:
            _make(world, folder)
        except BadInputError:
            return {}
    return {
        "COSIGN_PRIVATE_KEY": (folder / "cosign.key").read_text(),
        "COSIGN_PUBLIC_KEY": (folder / "cosign.pub").read_text(),
        "COSIGN_PASSWORD": world.secret("cosign-password"),
    }


def _make(world: World, folder: Path) -> None:
    cosign = world.tool("cosign")
    password = world.secret("cosign-password")
    with tempfile.TemporaryDirectory(prefix=".signing-", dir=world.folder()) as made:
        half = Path(made) / "keys"
        half.mkdir(mode=0o700)
        tool.run(
            [cosign, "generate-key-pair", "--output-key-prefix", half / "cosign"],
            env={"COSIGN_PASSWORD": password},
            limit=_LIMIT_SECONDS,
            secrets=[password],
        )
        with contextlib.suppress(OSError):  # parts start side by side: the first to make it decides
            half.rename(folder)
