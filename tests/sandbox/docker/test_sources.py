from pathlib import Path

import pytest

from sandbox.docker.sources import Mirror, mirror
from symphony.errors import BadInputError


def machine(root: Path, release: str, **sources: str) -> Path:
    (root / "etc/apt/sources.list.d").mkdir(parents=True)
    (root / "etc/os-release").write_text(f'NAME="x"\nVERSION_CODENAME={release}\n')
    for name, text in sources.items():
        folder = root / "etc/apt" / ("" if name == "main" else "sources.list.d")
        (folder / {"main": "sources.list", "deb822": "a.sources", "other": "b.list"}[name]).write_text(text)
    return root


def test_a_one_line_source(tmp_path: Path) -> None:
    text = "# deb http://old/debian bookworm main\ndeb [arch=amd64 signed-by=/k] https://mirror/debian/ bookworm main\n"
    assert mirror(machine(tmp_path, "bookworm", main=text)) == Mirror("https://mirror/debian", "bookworm")


def test_a_deb822_source_and_foreign_ones_beside_it(tmp_path: Path) -> None:
    stanzas = (
        "Types: deb\nURIs: https://other/node\nSuites: nodistro\nComponents: main\n\n"
        "Types: deb deb-src\n# a remark\nURIs: http://mirror/ubuntu\n"
        "Suites: noble noble-updates\nComponents: main universe\n"
    )
    root = machine(tmp_path, "noble", deb822=stanzas, other="deb https://cloud/apt cloud-sdk main\n")
    assert mirror(root) == Mirror("http://mirror/ubuntu", "noble")


def test_a_disabled_or_updates_only_source_is_none(tmp_path: Path) -> None:
    stanzas = (
        "Enabled: no\nTypes: deb\nURIs: http://a/debian\nSuites: bookworm\nComponents: main\n\n"
        "Types: deb\nURIs: http://a/security\nSuites: bookworm-security\nComponents: main\n"
    )
    with pytest.raises(BadInputError, match="bookworm main"):
        mirror(machine(tmp_path, "bookworm", deb822=stanzas))


def test_another_system_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="Debian or Ubuntu"):
        mirror(tmp_path)
