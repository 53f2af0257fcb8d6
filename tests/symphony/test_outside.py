from __future__ import annotations

import pytest

from symphony.outside import MalformedError, read_documents, read_json, read_yaml


def test_what_is_right_is_read() -> None:
    assert read_json(b'{"a": [1]}') == {"a": [1]}
    assert read_yaml("a: &x [1]\nb: *x") == {"a": [1], "b": [1]}
    assert read_documents("a: 1\n---\nb: 2") == [{"a": 1}, {"b": 2}]
    assert read_yaml("a:\n  b: 1", with_lines=True)["a"].lc.key("b")[0] == 1


def test_a_small_text_becomes_no_large_value() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    for read in (read_yaml, read_documents):
        with pytest.raises(MalformedError, match="stand for too much"):
            read("\n".join(lines))
    with pytest.raises(MalformedError, match="stand for too much"):
        read_yaml("&a [*a]")


@pytest.mark.parametrize("depth", [300, 5000, 100_000])
def test_what_is_too_deep_is_malformed(depth: int) -> None:
    with pytest.raises(MalformedError):
        read_yaml("[" * depth + "]" * depth)
    if depth > 300:
        with pytest.raises(MalformedError):
            read_json("[" * depth + "]" * depth)


@pytest.mark.parametrize("text", ["2001-99-99", "a: [", "{a: 1, a: 2}", "!!int x", "? {}\n: 1\n? [1]\n", "\0"])
def test_whatever_the_reader_raises_is_one_error(text: str) -> None:
    with pytest.raises(MalformedError, match="it is no YAML"):
        read_yaml(text)
    with pytest.raises(MalformedError, match="it is no JSON"):
        read_json(f"{text},")
