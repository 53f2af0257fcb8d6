"""Results of benchmarks against the committed ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import kept
from symphony.tool import run


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    run(["git", "init", "--quiet"], cwd=tmp_path)
    for moment, ratio in (("20260101T000000Z", 9.0), ("20260201T000000Z", 1.0)):
        text = json.dumps({"figures": {"a_ratio": ratio, "seconds": 1.0}})
        (folder / f"deploy-{'f' * 12}-{moment}.json").write_text(text)
    run(["git", "add", "--all"], cwd=tmp_path)
    commit = ("-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "--quiet", "--message", "kept")
    run(["git", *commit], cwd=tmp_path)
    monkeypatch.setattr(kept, "RESULTS", folder)
    return folder


def test_a_ratio_that_is_over_a_fifth_worse_fails_and_is_kept(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"a_ratio is 1.21, it was 1.0"):
        kept.conclude("deploy", {"a_ratio": 1.21, "seconds": 1.0}, {})
    assert json.loads(capsys.readouterr().out) == {"a_ratio": 1.21, "seconds": 1.0}
    assert len(list(results.iterdir())) == 3


@pytest.mark.parametrize("figures", [{"a_ratio": 1.2, "seconds": 9.0}, {"a_ratio": 0.1}, {"new_ratio": 5.0}])
def test_what_is_no_worse_or_has_no_ratio_before_it_passes(results: Path, figures: dict[str, Any]) -> None:
    # The first is written and not committed, and is nothing to compare with.
    (results / f"deploy-{'f' * 12}-20260301T000000Z.json").write_text(json.dumps({"figures": {"a_ratio": 0.01}}))
    kept.conclude("deploy", figures, {})


def test_a_first_result_passes(results: Path) -> None:
    assert results
    kept.conclude("other", {"a_ratio": 5.0}, {})
