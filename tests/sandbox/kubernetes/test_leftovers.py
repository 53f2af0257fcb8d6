from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sandbox.kubernetes import leftovers
from sandbox.kubernetes.layout import CGROUP

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_pod_that_goes_while_cgroups_are_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / CGROUP
    for folder, pid in ((root, 11), (root / "staying", 22), (root / "going", 33)):
        folder.mkdir()
        (folder / "cgroup.procs").write_text(f"{pid}\n")
    (tmp_path / "cgroup.controllers").touch()
    monkeypatch.setattr(leftovers, "_CGROUPS", tmp_path)
    look = os.scandir

    def gone_when_looked_into(path: Any) -> Any:
        if os.fspath(path) == str(root / "going"):
            (root / "going" / "cgroup.procs").unlink()
            (root / "going").rmdir()
        return look(path)

    monkeypatch.setattr(os, "scandir", gone_when_looked_into)
    assert leftovers.pids_in_cgroups() == {11, 22}
