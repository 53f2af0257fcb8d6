from __future__ import annotations

from pathlib import Path

import pytest

from symphony.errors import BadInputError
from tasks.helm import value_files, vendor


def chart(tree: Path, name: str, dependencies: str = "") -> Path:
    folder = tree / "charts" / name
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: 0.1.0\n{dependencies}")
    (folder / "templates" / "one.yaml").write_text(f"# {name}\n")
    return folder


def depends(name: str, address: str) -> str:
    return f"dependencies:\n  - {{name: {name}, version: 0.1.0, repository: '{address}'}}\n"


def test_charts_beside_are_unpacked_into_the_copy_and_theirs_too(tmp_path: Path) -> None:
    chart(tmp_path, "app", depends("lib", "file://../lib"))
    chart(tmp_path, "lib", depends("base", "file://../base"))
    chart(tmp_path, "base")
    copy = vendor(tmp_path, "charts/app", tmp_path / "copy" / "charts" / "app")
    assert (copy / "charts/lib/templates/one.yaml").read_text() == "# lib\n"
    assert (copy / "charts/lib/charts/base/templates/one.yaml").read_text() == "# base\n"


@pytest.mark.parametrize("address", ["https://charts.example", "oci://x/y", "", "file://../../../etc", "file:///etc"])
def test_a_chart_from_elsewhere_is_refused(tmp_path: Path, address: str) -> None:
    tree = tmp_path / "tree"
    chart(tree, "app", depends("lib", address))
    with pytest.raises(BadInputError, match=r"charts/app depends on 'lib' from .* only charts of this repository"):
        vendor(tree, "charts/app", tmp_path / "copy")


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (chart(tmp_path, "app") / "templates" / "secrets").symlink_to("/etc")
    with pytest.raises(BadInputError, match="symbolic link templates/secrets"):
        vendor(tmp_path, "charts/app", tmp_path / "copy")


def test_where_there_is_no_chart_the_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no chart at charts/app"):
        vendor(tmp_path, "charts/app", tmp_path / "copy")


def test_an_environment_without_values_of_its_own_has_none(tmp_path: Path) -> None:
    (chart(tmp_path, "app") / "values.dev.yaml").write_text("{}\n")
    assert value_files(tmp_path, "charts/app", "dev") == ("values.dev.yaml",)
    assert value_files(tmp_path, "charts/app", "prod") == ()
