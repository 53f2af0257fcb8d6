"""Base images with Python, made of Debian packages, because no image registry can be taken for granted.

Made once a machine, kept in the cache, and imported into the engine under a stable name.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from docker.errors import ImageNotFound

from sandbox.docker.engine import Engine
from sandbox.docker.sources import Mirror, mirror
from sandbox.world import HOST, World
from symphony import tool


@dataclass(frozen=True)
class Base:
    """A base image.

    Attributes:
        name: By which a Dockerfile's argument ``BASE`` takes it.
        packages: Of Debian, beside what every system of it has.
    """

    name: str
    packages: tuple[str, ...]

    @property
    def repository(self) -> str:
        """The name without its tag."""
        return self.name.partition(":")[0]

    def key(self, source: Mirror) -> str:
        """What the image depends on, in twelve hexadecimal digits: suite, platform, packages and recipe."""
        facts = [source.suite, platform.machine(), *self.packages, str(_RECIPE), *_DROPPED]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


PYTHON = Base("symphony-base/python:3.11", ("ca-certificates", "python3"))
"""What applications are built on, as `symphony.yaml` says."""
NAME = PYTHON.name
WORKER = Base("symphony-base/worker:3.11", (*PYTHON.packages, "git", "libcap2-bin", "rootlesskit", "runc", "uidmap"))
"""What the image of a worker's runs is built on."""
_RECIPE = 1
"""Counted up when what is dropped changes, so that caches are made anew."""
_DROPPED = (
    "usr/share/doc/*",
    "usr/share/man/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/i18n",
    "usr/share/lintian",
    "usr/share/bug",
    "usr/share/common-licenses",
    "usr/share/pixmaps",
    "usr/share/zoneinfo/right",
    "usr/share/zoneinfo/posix",
    "usr/lib/*/gconv",
    "usr/lib/locale/*",
    "usr/lib/udev",
    "usr/lib/systemd",
    "usr/lib/python3*/ensurepip",
    "usr/lib/python3*/idlelib",
    "usr/lib/python3*/lib2to3",
    "usr/lib/python3*/pydoc_data",
    "usr/lib/python3*/test",
    "usr/lib/python3*/turtledemo",
    "var/cache/apt/*",
    "var/cache/debconf/*-old",
    "var/lib/apt/lists/*",
    "var/lib/dpkg/*-old",
    "var/log/*",
    "debootstrap",
    "dev/*",
    "proc/*",
    "sys/*",
    "run/*",
    "tmp/*",
)
_LIMIT = 1200

Progress = Callable[[str], None]


def in_registry(world: World) -> str:
    """The base of applications in the sandbox's registry, where BuildKit looks for it."""
    return f"{HOST}:{world.ports.ecr}/{PYTHON.name}"


def present(engine: Engine, base: Base = PYTHON) -> bool:
    """Whether the engine has the image of this recipe under its stable name."""
    client = engine.client(timeout=5)
    try:
        wanted = client.images.get(f"{base.repository}:{base.key(mirror())}")
        return bool(client.images.get(base.name).id == wanted.id)
    except ImageNotFound:
        return False
    finally:
        client.close()


def provide(world: World, engine: Engine, progress: Progress | None = None, base: Base = PYTHON) -> None:
    """See to it that the engine has the base image; takes milliseconds where it has.

    Args:
        world: The sandbox.
        engine: A running Docker engine.
        progress: Called with a line a step.
        base: Which one.

    Raises:
        BadInputError: debootstrap is missing, or this machine's apt sources name no mirror.
        ToolError: debootstrap failed, with its last lines.
    """
    if present(engine, base):
        return
    say = progress or (lambda _: None)
    archive = make(world, say, base)
    say("base image: importing it into the Docker engine")
    client = engine.client(timeout=_LIMIT)
    try:
        client.api.import_image_from_file(
            str(archive),
            repository=base.repository,
            tag=archive.stem,
            changes=["ENV LANG=C.UTF-8 PYTHONUNBUFFERED=1", 'CMD ["python3"]'],
        )
        client.images.get(f"{base.repository}:{archive.stem}").tag(*base.name.split(":"))
    finally:
        client.close()


def make(world: World, say: Progress, base: Base = PYTHON) -> Path:
    """The image's file system as a tar archive in the cache, made where it is missing, whole or not at all."""
    source = mirror()
    folder = world.cache / "base-image"
    archive = folder / f"{base.key(source)}.tar"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(folder / "lock"):
        if archive.exists():
            return archive
        with tempfile.TemporaryDirectory(prefix="symphony-base-", dir=folder, ignore_cleanup_errors=True) as temporary:
            root = Path(temporary) / "root"
            say(f"base image: {', '.join(base.packages)} of {source.suite} from {source.url}")
            _install(world, source, root, say, base)
            for pattern in _DROPPED:
                for path in root.glob(pattern):
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            half = Path(temporary) / "root.tar"
            say("base image: packing it")
            # Sorted and with one time for all, so that the same packages make the same layer.
            fixed = ["--sort=name", "--mtime=@0", "--numeric-owner", "--format=gnu"]
            tool.run([world.tool("tar"), *fixed, "-C", root, "-cf", half, "."], limit=_LIMIT)
            half.replace(archive)
    return archive


def _install(world: World, source: Mirror, root: Path, say: Progress, base: Base) -> None:
    def line(text: str) -> None:
        kind, _, rest = text.partition(": ")
        if kind == "I" and rest.startswith(("Retrieving ", "Configuring ", "Installing ", "Unpacking ")):
            say(f"base image: {rest.rstrip('.').lower()}")

    # A mount namespace of its own: debootstrap mounts /proc in the new root, and nothing of it may outlive a kill.
    alone: list[str | Path] = [world.tool("unshare"), "--mount", "--propagation", "private"]
    include = f"--include={','.join(base.packages)}"
    tool.run(
        [*alone, world.tool("debootstrap"), "--variant=minbase", include, source.suite, root, source.url],
        env={"PATH": world.path, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        limit=_LIMIT,
        on_line=line,
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two at once make one image."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
