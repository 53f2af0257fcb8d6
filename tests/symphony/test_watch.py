from __future__ import annotations

from pathlib import Path

import pytest

from deployments.apply import ROOT
from symphony.config import load
from symphony.errors import BadInputError


def with_watch(folder: Path, section: str) -> Path:
    place = '    repository: "{environment}/hello"\n'
    file = folder / "symphony.yaml"
    file.write_text((ROOT / "symphony.yaml").read_text().replace(place, f"{place}    watch:\n      {section}\n"))
    return file


def test_a_policy_is_of_one_application_in_one_environment(tmp_path: Path) -> None:
    configuration = load(with_watch(tmp_path, 'staging: {policy: semver, constraint: "^1.2", ignore: ["*-rc*"]}'))
    assert {name: str(one) for name, one in configuration.watched("staging").items()} == {"hello": "semver ^1.2"}
    assert configuration.watched("dev") == {}


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("live: {policy: newest-build}", "applications.hello.watch names live; there are: dev, staging, prod"),
        ("dev: {policy: newest}", r"applications\.hello\.watch\.dev\.policy: found 'newest'"),
        ("dev: {policy: semver, constraint: '>1 and <2'}", "must be a range of versions as npm writes it"),
        ("dev: {policy: newest-build, platfrom: linux/amd64}", "platfrom is not known; allowed here: policy"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, section: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        load(with_watch(tmp_path, section))
