"""What a configuration names lies in the repository, also through symbolic links."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from symphony.addons import Addon
from symphony.config import Application, Git, Ingress
from symphony.errors import BadInputError
from tasks.helm import vendor
from tasks.source import source

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Delivery

OUT = ["..", "../x", "a/../../x", "/etc/passwd", "--file=/etc/passwd", "a\nb", "a\0b", "", " "]


@pytest.mark.parametrize("path", OUT)
@pytest.mark.parametrize("key", ["source", "dockerfile", "chart"])
def test_no_path_of_an_application_leaves_the_repository(key: str, path: str) -> None:
    fine = {"source": "a", "chart": "c", "repository": "dev/a"}
    with pytest.raises(ValueError, match=key):
        Application.model_validate({**fine, key: path})


@pytest.mark.parametrize("path", OUT)
def test_no_other_path_does(path: str) -> None:
    with pytest.raises(ValueError, match="authority"):
        Ingress(authority=path)
    with pytest.raises(ValueError, match="files"):
        Addon(chart="charts/a", namespace="a", files=(path,))
    with pytest.raises(ValueError, match="chart"):
        Addon(chart=path, namespace="a")


def test_a_dockerfile_that_leads_out_is_refused(delivery: Delivery, tmp_path: Path) -> None:
    here = replace(delivery.change(), tree=tmp_path / "tree")
    folder = here.tree / "apps" / "one"
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_text("FROM scratch")
    (folder / "Dockerfile").symlink_to(tmp_path / "secret")
    with pytest.raises(BadInputError, match="has no 'Dockerfile'"), source(here, "one"):
        pass


@pytest.mark.parametrize(
    "remote", ["https://robot:secret@git.example/a.git", "https://token@git.example/a.git", "ssh://git:x@git.example/a"]
)
def test_no_login_stands_in_a_remotes_address(remote: str) -> None:
    with pytest.raises(ValueError, match="credential helper"):
        Git(remote=remote)
    assert Git(remote="ssh://git@git.example/a.git").remote


def test_a_chart_that_leads_out_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "Chart.yaml").write_text("{apiVersion: v2, name: one, version: 0.1.0}")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "chart").symlink_to(outside)
    with pytest.raises(BadInputError, match="leads out of the repository"):
        vendor(tmp_path / "tree", "chart", tmp_path / "target")
