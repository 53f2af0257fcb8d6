"""The built tools in one file, from machine to machine: a gzipped tar whose first member lists every file's digest."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.toolchain.cache import Store, sha256
from sandbox.toolchain.pins import Tool, target
from symphony.errors import BadInputError

_MANIFEST = "manifest.json"
_MANIFEST_BYTES = 4 * 2**20
_CHUNK = 2**20

Report = Callable[[str, int, int], None]
"""Called with a tool's name, its number and how many there are."""


def _silent(_tool: str, _number: int, _tools: int) -> None:
    """Report to nobody."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _File(_Section):
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    link: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")


class _Tool(_Section):
    version: str
    key: str = Field(pattern=r"^[0-9a-f]{16}$")
    go: str = ""
    files: dict[str, _File]


class _Manifest(_Section):
    format: Literal[1] = 1
    platform: str
    tools: dict[str, _Tool]


def pack(store: Store, file: Path, report: Report = _silent) -> tuple[str, tuple[str, ...]]:
    """Write the built tools into one file, whole or not at all.

    Args:
        store: Where they are.
        file: The archive.
        report: Called before each tool is written.

    Returns:
        The archive's SHA-256 in hexadecimal, and the names of tools left out because they are links to PATH.

    Raises:
        BadInputError: A tool is missing, or the file cannot be written.
    """
    if absent := store.missing():
        names = ", ".join(tool.name for tool in absent)
        raise BadInputError(f"Nothing was exported: {names} is not built yet; run `symphony toolchain build` first.")
    records = {tool: store.record(tool) or {} for tool in store.tools}
    carried = {tool: record for tool, record in records.items() if record["from"] != "PATH"}
    manifest = _Manifest(
        platform=target(),
        tools={
            tool.name: _Tool.model_validate({name: record[name] for name in _Tool.model_fields})
            for tool, record in carried.items()
        },
    )
    half = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with (
            half.open("xb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=1, mtime=0) as zipped,
        ):
            _write(zipped, manifest, store, tuple(carried), report)
        digest = sha256(half)
        half.replace(file)
    except OSError as error:
        raise BadInputError(f"{file} could not be written: {error.strerror or error}; choose another place.") from error
    finally:
        half.unlink(missing_ok=True)
    return digest, tuple(tool.name for tool in records if tool not in carried)


def _write(stream: gzip.GzipFile, manifest: _Manifest, store: Store, tools: tuple[Tool, ...], report: Report) -> None:
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        text = manifest.model_dump_json().encode()
        head = tarfile.TarInfo(_MANIFEST)
        head.size = len(text)
        archive.addfile(head, io.BytesIO(text))
        for number, tool in enumerate(tools, 1):
            report(tool.name, number, len(tools))
            for name, facts in manifest.tools[tool.name].files.items():
                if facts.link:
                    continue  # the manifest says it all
                path = store.place(tool) / name
                entry = tarfile.TarInfo(f"{tool.name}/{name}")
                entry.size = facts.size
                entry.mode = path.stat().st_mode & 0o777
                with path.open("rb") as content:
                    archive.addfile(entry, content)


def unpack(store: Store, file: Path, sha: str = "", report: Report = _silent) -> tuple[str, ...]:
    """Put the tools of an archive into the store: all of them, or none.

    Args:
        store: Where to.
        file: An archive that `pack` wrote.
        sha: SHA-256 that the archive must have, as `pack` told it; not compared where empty.
        report: Called before each tool is read.

    Returns:
        Names of the tools put in; those that were there already are left alone.

    Raises:
        BadInputError: The archive is damaged, altered, of another platform or of other pins. Nothing has been changed.
    """
    if not file.is_file():
        raise BadInputError(
            f"The archive {file} is not there; "
            "make it with `symphony toolchain export` on a machine that has the tools."
        )
    if sha and sha256(file) != sha.lower():
        raise BadInputError(
            f"The archive {file} does not have the digest {sha}; it was altered or cut short, so copy it again."
        )
    with store.locked() as session:
        try:
            with gzip.open(file) as zipped, tarfile.open(fileobj=zipped, mode="r|") as archive:
                manifest = _read_manifest(archive)
                wanted = _checked(store, manifest, file)
                made = _extract(archive, manifest, session, file, report)
        except (OSError, EOFError, tarfile.TarError, zlib.error, ValidationError, ValueError) as error:
            raise BadInputError(
                f"The archive {file} is no toolchain export or is damaged ({_first_line(error)}); export it again."
            ) from error
        put = [tool for tool in wanted if store.record(tool) is None]
        for tool in put:
            store.keep(tool, made[tool.name], "imported", manifest.tools[tool.name].go)
    return tuple(tool.name for tool in put)


def _read_manifest(archive: tarfile.TarFile) -> _Manifest:
    head = archive.next()
    content = archive.extractfile(head) if head is not None and head.name == _MANIFEST else None
    if head is None or content is None or head.size > _MANIFEST_BYTES:
        raise ValueError("its first member is not the manifest")
    return _Manifest.model_validate_json(content.read())


def _checked(store: Store, manifest: _Manifest, file: Path) -> tuple[Tool, ...]:
    """The tools an archive brings, if they are of this platform and these pins, and stay inside their folders."""
    if manifest.platform != target():
        raise BadInputError(
            f"The archive {file} was made for {manifest.platform}, and this machine is {target()}; "
            "export one on a machine like this."
        )
    known = {tool.name: tool for tool in store.tools}
    for name, brought in manifest.tools.items():
        if name not in known or brought.key != known[name].key:
            here = f"{known[name].version} with key {known[name].key}" if name in known else "no such tool"
            raise BadInputError(
                f"The archive {file} holds {name} {brought.version} with key {brought.key}, "
                f"and this clone pins {here}; "
                "export again from a clone of the same commit."
            )
        for path, facts in brought.files.items():
            pure = PurePosixPath(path)
            if pure.is_absolute() or ".." in pure.parts or pure.parts[:1] not in {("bin",), ("share",)}:
                raise BadInputError(
                    f"The archive {file} was tampered with: its entry {path!r} leaves the folder of {name}."
                )
            if facts.link and str(pure.with_name(facts.link)) not in brought.files:
                raise BadInputError(
                    f"The archive {file} was tampered with: its link {path!r} leads out of the folder of {name}."
                )
        if lacking := sorted(set(known[name].programs.values()) - set(brought.files)):
            raise BadInputError(f"The archive {file} lacks {', '.join(lacking)} of {name}; export it again.")
    return tuple(known[name] for name in manifest.tools)


def _extract(
    archive: tarfile.TarFile, manifest: _Manifest, session: Path, file: Path, report: Report
) -> Mapping[str, Path]:
    made = {name: session / f"import-{name}" for name in manifest.tools}
    due: dict[str, Any] = {
        f"{name}/{path}": (name, path, facts)
        for name, brought in manifest.tools.items()
        for path, facts in brought.files.items()
        if not facts.link
    }
    seen: list[str] = []
    # One after another from here on: iterating would begin with the manifest again.
    while (entry := archive.next()) is not None:
        if entry.name not in due or not entry.isreg():
            raise BadInputError(
                f"The archive {file} was tampered with: its entry {entry.name!r} is not in its manifest."
            )
        name, path, facts = due.pop(entry.name)
        if name not in seen:
            seen.append(name)
            report(name, len(seen), len(manifest.tools))
        content = archive.extractfile(entry)
        if content is None or _copy(content, made[name] / path, entry.mode & 0o755) != facts.sha256:
            raise BadInputError(
                f"The archive {file} was tampered with or damaged: {entry.name} does not have the digest "
                "that its manifest tells."
            )
    if due:
        raise BadInputError(f"The archive {file} was cut short: {next(iter(due))} is missing; copy or export it again.")
    for name, brought in manifest.tools.items():
        for path, facts in brought.files.items():
            if facts.link:
                (made[name] / path).symlink_to(facts.link)
    return made


def _copy(content: IO[bytes], path: Path, mode: int) -> str:
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as stream:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            stream.write(chunk)
    path.chmod(mode)
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
