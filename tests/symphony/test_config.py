from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.config import Configuration, load
from symphony.errors import BadInputError

ROOT = Path(__file__).parents[2]


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    text = (ROOT / "symphony.yaml").read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    file = folder / "symphony.yaml"
    file.write_text(text)
    return file


def line_of(file: Path, key: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if key in line)


def test_the_shipped_file_is_right() -> None:
    configuration = load(ROOT / "symphony.yaml")
    assert list(configuration.environments) == ["dev", "staging", "prod"]
    assert configuration.environments["prod"].protected
    assert configuration.environments["staging"].kubernetes.namespace == "staging"


def test_an_unknown_key_is_named_with_its_line_and_what_is_allowed(tmp_path: Path) -> None:
    file = written(tmp_path, ("    chart: charts/hello", "    chrt: charts/hello"))
    with pytest.raises(BadInputError) as caught:
        load(file)
    said = str(caught.value)
    assert f"symphony.yaml:{line_of(file, 'chrt')}: applications.hello.chrt is not known; allowed here: source" in said
    assert "applications.hello.chart is missing" in said


def test_a_wrong_value_is_shown_with_what_is_allowed(tmp_path: Path) -> None:
    file = written(tmp_path, ("kind: sandbox", "kind: sandbx"))
    with pytest.raises(BadInputError, match=r"environments\.dev\.kind: found 'sandbx'; .*'sandbox' or 'aws'"):
        load(file)


@pytest.mark.parametrize("path", ["../outside", "/etc", "apps/../../x", " "])
def test_a_path_cannot_leave_the_repository(tmp_path: Path, path: str) -> None:
    file = written(tmp_path, ("source: apps/hello", f'source: "{path}"'))
    with pytest.raises(BadInputError, match=r"applications\.hello\.source.*inside the repository"):
        load(file)


@pytest.mark.parametrize("name", ["Hello", "-hello", "he llo", "hello/../x", "a" * 41, "--force"])
def test_a_name_that_is_no_dns_label_is_refused(tmp_path: Path, name: str) -> None:
    file = written(tmp_path, ("  hello:\n", f'  "{name}":\n'))
    with pytest.raises(BadInputError, match="applications"):
        load(file)


def test_aws_takes_no_endpoint_and_a_sandbox_must_have_one(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"aws\.endpoint belongs to environments of kind sandbox alone"):
        load(written(tmp_path, ("kind: sandbox", "kind: aws")))
    with pytest.raises(BadInputError, match=r"aws\.endpoint is missing"):
        load(written(tmp_path, ("      endpoint: http://127.0.0.1:4566\n", "")))


@pytest.mark.parametrize(
    ("text", "said"), [("", "is empty"), ("- 1", "is empty"), ("a: [", "is no YAML"), ("a: 1\na: 2", "is no YAML")]
)
def test_what_is_no_mapping_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "symphony.yaml"
    file.write_text(text)
    with pytest.raises(BadInputError, match=said):
        load(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"symphony\.yaml cannot be read"):
        load(tmp_path / "symphony.yaml")


def test_values_that_symphony_writes_itself_are_refused(tmp_path: Path) -> None:
    taken = ("    chart: charts/hello", "    chart: charts/hello\n    values: {image: x, replicas: 2}")
    with pytest.raises(BadInputError, match=r"applications\.hello\.values; has image, which Symphony writes itself"):
        load(written(tmp_path, taken))


def test_the_registry_is_ecrs_own_unless_said_otherwise(tmp_path: Path) -> None:
    configuration = load(written(tmp_path, ("      registry: 127.0.0.1:5010\n", "")))
    assert configuration.environments["dev"].aws.registry_host == "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


def test_the_schema_for_editors_is_up_to_date() -> None:
    kept = json.loads((ROOT / "symphony.schema.json").read_text())
    assert kept == Configuration.model_json_schema(), "run `make schema`"


@given(st.text(max_size=300))
def test_any_text_is_either_a_configuration_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.mktemp("any") / "symphony.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(BadInputError):
        load(file)
