"""The bare repository behind the remote: made once, seeded with the example platform, its hooks kept current."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from sandbox.git.credentials import git_environment
from sandbox.world import World
from symphony import tool
from symphony.errors import BadInputError

SEEDED = ("apps", "charts", "infra", "symphony.yaml", ".github/actions", ".github/workflows")
"""What of the clone the platform's first commit holds."""
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".terraform", ".terragrunt-cache", "__pycache__", "*.pyc", "*.tfstate*", "*.tfplan", "ci.yml"
)
HOOKS = ("pre-receive", "post-receive")


def repository(world: World) -> Path:
    """Folder of the bare repository."""
    return world.state / "git" / "platform.git"


def seed(world: World, edit: Callable[[str], str] = str) -> bool:
    """Make the repository where it is missing, whole or not at all, with the seed as main's first commit.

    Args:
        world: The sandbox.
        edit: Makes the text of its ``symphony.yaml`` of this clone's.

    Returns:
        Whether it was made now.

    Raises:
        BadInputError: The clone holds nothing to seed it with.
    """
    target = repository(world)
    if target.exists():
        return False
    present = [name for name in SEEDED if (world.source / name).exists()]
    if not present:
        raise BadInputError(
            f"{world.source} holds none of {', '.join(SEEDED)}; run the sandbox from a clone of Symphony."
        )
    with tempfile.TemporaryDirectory(dir=world.folder("git"), prefix="seed-") as temporary:
        tree, bare = Path(temporary) / "tree", Path(temporary) / "platform.git"
        for name in present:
            place = world.source / name
            if place.is_dir():
                shutil.copytree(place, tree / name, symlinks=True, ignore=_LEFT_OUT)
            else:
                tree.mkdir(exist_ok=True)
                shutil.copy2(place, tree / name)
        if (configuration := tree / "symphony.yaml").exists():
            configuration.write_text(edit(configuration.read_text()))
        git: str | Path = world.tool("git")
        env = {**git_environment(world), "GIT_CONFIG_NOSYSTEM": "1"}
        tool.run([git, "init", "--quiet", "--bare", "--initial-branch=main", bare], env=env, limit=30)
        work: list[str | Path] = [git, f"--git-dir={bare}", f"--work-tree={tree}"]
        tool.run([*work, "add", "--all", "--force", "."], cwd=tree, env=env, limit=60)
        tool.run(
            [*work, "commit", "--quiet", "-m", "The platform as it comes with Symphony"], cwd=tree, env=env, limit=60
        )
        (bare / "index").unlink(missing_ok=True)
        bare.rename(target)
    return True


def configure(world: World, settings: Path, imports: Path) -> None:
    """Write the repository's settings and hooks; they name this interpreter, so each `up` writes them anew."""
    bare = repository(world)
    # No collection in the background: a process of Git's would outlive the push, and `down`.
    for name, value in (
        ("http.receivepack", "true"),
        ("receive.advertisePushOptions", "true"),
        ("core.logAllRefUpdates", "true"),
        ("gc.auto", "0"),
    ):
        tool.run([world.tool("git"), f"--git-dir={bare}", "config", name, value], limit=10)
    for name in HOOKS:
        text = (
            # Isolated, the standard library alone: it starts at once.
            f"#!{sys.executable} -IS\n"
            f"import sys\nfrom pathlib import Path\nsys.path.insert(0, {str(imports)!r})\n"
            f"from sandbox.git.hook import main\nsys.exit(main({name!r}, Path({str(settings)!r})))\n"
        )
        world.write(bare / "hooks" / name, text, mode=0o700)
    for sample in (bare / "hooks").glob("*.sample"):
        sample.unlink()
