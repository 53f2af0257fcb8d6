"""What OpenTofu and Terragrunt need to know of the sandbox: where the AWS provider is."""

from __future__ import annotations

from pathlib import Path

from sandbox.toolchain import provider_mirror
from sandbox.world import World

_CONFIGURATION = """\
# Written by the sandbox: providers come from the toolchain alone, since nothing else can be reached.
disable_checkpoint = true

provider_installation {{
  filesystem_mirror {{
    path = "{mirror}"
  }}
}}
"""


def configuration(mirror: Path) -> str:
    """OpenTofu's own configuration file, by which providers come from a mirror alone."""
    return _CONFIGURATION.format(mirror=mirror)


def tofu_environment(world: World, mirror: Path | None = None) -> dict[str, str]:
    """Variables by which OpenTofu and Terragrunt take the provider from a filesystem mirror.

    Args:
        world: The sandbox.
        mirror: Folder laid out as OpenTofu's ``filesystem_mirror``; the toolchain's by default.
    """
    text = configuration(mirror or provider_mirror(world.cache))
    return {
        "TF_CLI_CONFIG_FILE": str(world.write(world.folder("tofu") / "tofurc", text)),
        # OpenTofu links a provider straight from the mirror. A plugin cache in between saves nothing, and units that
        # fill it side by side fail ("failed to compute a checksum"), also where OpenTofu locks it.
        "TF_PLUGIN_CACHE_DIR": "",
        # Terragrunt would set one up by itself, in the user's cache.
        "TG_NO_AUTO_PROVIDER_CACHE_DIR": "true",
        # The sandbox's state is plain JSON in S3: read outputs from it without starting tofu for each dependency.
        "TG_DEPENDENCY_FETCH_OUTPUT_FROM_STATE": "true",
    }
