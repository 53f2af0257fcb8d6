from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from symphony.change import Change
from symphony.config import load

ROOT = Path(__file__).parents[2]
CHANGE = Change(
    configuration=load(ROOT / "symphony.yaml"),
    environment="dev",
    commit="a" * 40,
    base="b" * 40,
    tree=ROOT,
    mirror=ROOT,
    run="",
    changed=("apps/hello/hello.py", "README.md"),
)


def test_a_folder_is_touched_by_what_lies_below_it_and_not_by_its_namesakes() -> None:
    assert CHANGE.touches("apps/hello")
    assert CHANGE.touches("README.md")
    assert not CHANGE.touches("apps/hell", "charts")


def test_without_a_base_everything_is_touched() -> None:
    assert replace(CHANGE, changed=None).touches("charts")
