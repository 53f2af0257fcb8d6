from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import tasks.unit_removal
from symphony.change import Change
from symphony.config import load
from symphony.errors import BadInputError
from tasks.git import git
from tasks.live import Live
from tasks.unit_removal import UnitRemoval, open_unit_removal
from tasks.units import Unit

ROOT = Path(__file__).parents[2]
BASE = (
    Unit(path="network"),
    Unit(path="database", dependencies=("network",)),
    Unit(path="service", dependencies=("network", "database")),
)


@pytest.fixture
def removal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., UnitRemoval]:
    """What a change takes out; the base's units are those that Terragrunt would list, by the checkout asked."""
    monkeypatch.setenv("SYMPHONY_WORK", str(tmp_path / "work"))
    tree = tmp_path / "tree"
    for unit in BASE:
        (tree / "infra/live/dev" / unit.path).mkdir(parents=True)
        (tree / "infra/live/dev" / unit.path / "terragrunt.hcl").write_text(f"# {unit.path}\n")
    git("init", "--quiet", cwd=tree)
    git("add", ".", cwd=tree)
    git("commit", "--quiet", "-m", "base", cwd=tree)
    base = git("rev-parse", "HEAD", cwd=tree)
    asked: list[Path] = []

    def find(live: Live) -> tuple[Unit, ...]:
        asked.append(live.tree)
        assert (live.folder / "database" / "terragrunt.hcl").is_file()
        return BASE

    def run(after: tuple[Unit, ...], *changed: str, finds: Callable[[Live], tuple[Unit, ...]] = find) -> UnitRemoval:
        monkeypatch.setattr(tasks.unit_removal, "find_units", finds)
        change = Change(load(ROOT / "symphony.yaml"), "dev", base, base, tree, tree, "", changed)
        live = Live(tree, "infra/live", "dev", ("dev",))
        with open_unit_removal(change, live, after) as found:
            assert found.live is None or found.live.folder.is_dir()
        for checkout in asked:
            assert checkout == tree or not checkout.exists()
        return found

    return run


def test_a_removed_unit_waits_for_those_that_needed_it(removal: Callable[..., UnitRemoval]) -> None:
    found = removal((Unit(path="network"),), "infra/live/dev/database/terragrunt.hcl")
    assert found.names == ("database", "service")
    assert {unit.path: unit.dependencies for unit in found.units} == {"database": ("service",), "service": ()}


def test_what_still_needs_it_is_among_its_dependants(removal: Callable[..., UnitRemoval]) -> None:
    after = (Unit(path="network"), Unit(path="service", dependencies=("network",)))
    found = removal(after, "infra/live/dev/database/terragrunt.hcl")
    assert [(unit.path, unit.dependencies) for unit in found.units] == [("database", ("service",))]


def test_a_moved_unit_is_told_with_its_new_place(removal: Callable[..., UnitRemoval], tmp_path: Path) -> None:
    new = tmp_path / "tree" / "infra/live/dev" / "data"
    new.mkdir()
    (new / "terragrunt.hcl").write_text("# database\n")
    after = (Unit(path="network"), Unit(path="data"), Unit(path="service"))
    found = removal(after, "infra/live/dev/database/terragrunt.hcl", "infra/live/dev/data/terragrunt.hcl")
    assert found.names == ("database (moved to data)",)


def test_a_changed_stack_is_compared_with_its_base(removal: Callable[..., UnitRemoval]) -> None:
    assert removal(BASE[:2], "infra/live/dev/all/terragrunt.stack.hcl").names == ("service",)
    generated = Unit(path="all/.terragrunt-stack/a", reading=("infra/live/dev/env.hcl",))
    assert removal((*BASE[:2], generated), "infra/live/dev/env.hcl").names == ("service",)


def test_nothing_is_checked_out_where_no_unit_can_have_gone(removal: Callable[..., UnitRemoval]) -> None:
    found = removal(BASE, "infra/live/dev/network/terragrunt.hcl", "infra/live/dev/env.hcl", "README.md")
    assert (found.live, found.units) == (None, ())


def test_a_base_that_cannot_be_read_tells_names_alone(removal: Callable[..., UnitRemoval]) -> None:
    def broken(live: Live) -> tuple[Unit, ...]:
        raise BadInputError(f"Terragrunt cannot read {live.prefix}.")

    found = removal(BASE[:2], "infra/live/dev/service/terragrunt.hcl", finds=broken)
    assert (found.live, found.names) == (None, ("service",))


def test_units_that_are_alike_are_not_taken_for_moved(removal: Callable[..., UnitRemoval], tmp_path: Path) -> None:
    for name in ("one", "two"):
        new = tmp_path / "tree" / "infra/live/dev" / name
        new.mkdir()
        (new / "terragrunt.hcl").write_text("# database\n")
    after = (Unit(path="network"), Unit(path="one"), Unit(path="two"), Unit(path="service"))
    assert removal(after, "infra/live/dev/database/terragrunt.hcl").names == ("database",)
