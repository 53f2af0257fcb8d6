"""A tofu that tells its version without starting: Terragrunt asks for it twice in every run of a unit."""

from __future__ import annotations

import hashlib
import mmap
import os
import shlex
import shutil
from pathlib import Path

from symphony.errors import ToolError
from symphony.tool import run
from tasks.git import work_home

_NAME = "tofu"
_OWN = b"github.com/opentofu/opentofu/cmd/tofu"
"""Go writes a program's main package into it. Version managers go by tofu's name too, and answer by the folder."""
_SCRIPT = """\
#!/bin/sh
if [ "$*" = -version ]; then printf %s {version}; exit; fi
exec {program} "$@"
"""


def quick_tofu() -> str:
    """Program for Terragrunt to run as tofu.

    Returns:
        Path of a script of this user's own that tells what tofu's ``-version`` told once and hands all else to tofu;
        the plain name where what goes by it is not OpenTofu itself, or where no file of Symphony's folder may be
        started, as on a file system that is mounted ``noexec``.
    """
    found = shutil.which(_NAME)
    if found is None:
        return _NAME
    program = Path(found).resolve()
    of = program.stat()
    key = hashlib.sha256(f"{program} {of.st_size} {of.st_mtime_ns}".encode()).hexdigest()[:16]
    script = work_home() / "tofu" / key / _NAME
    written = script.is_file() or _write(script, program)
    return str(script) if written and os.access(script, os.X_OK) else _NAME


def _write(script: Path, program: Path) -> bool:
    with program.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(_OWN) < 0:
            return False
    try:
        version = run([str(program), "-version"], cwd=program.parent, limit=60).stdout
    except ToolError:
        return False
    script.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Several runs may write it at once; each puts a whole one in place.
    own = script.with_name(f"{_NAME}.{os.getpid()}")
    own.write_text(_SCRIPT.format(version=shlex.quote(version), program=shlex.quote(str(program))), encoding="utf-8")
    own.chmod(0o700)
    own.replace(script)
    return True
