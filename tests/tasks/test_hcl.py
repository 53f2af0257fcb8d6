from __future__ import annotations

from pathlib import Path

import pytest

from tasks.hcl import attributes, blocks, read, without_comments

TEXT = """
# dependency "no" {}
dependency "vpc" { # why
  config_path = "../vpc"
  mock_outputs = {
    source = "}" // odd
    list   = [
      "a", "b",
    ]
  }
  template = "${lookup({ a = "{" }, "a")}"
  after    = merge(
    local.a,
    { inner = 1 },
  )
  script = <<-END
    dependency "in-text" {
    }
    hidden = {
  END
  last = true
}
terraform {
  extra_arguments "x" {
    source = "inner"
  }
  source = "http://x//y" /* a
    b */
}
"""


@pytest.fixture
def text() -> str:
    return without_comments(TEXT)


def test_a_block_ends_where_its_brace_closes_whatever_its_strings_hold(text: str) -> None:
    assert [label for label, _ in blocks(text, "dependency")] == ["vpc"]
    ((label, body),) = blocks(text, "terraform")
    assert (label, attributes(body)) == ("", {"source": '"http://x//y"'})


def test_a_label_may_be_quoted_or_not_and_a_block_stand_on_one_line() -> None:
    text = 'dependency vpc {\n  a = 1\n}\ndependency "b"{ a = 2 }\ndependencies {\n  a = 3\n}\n'
    assert [(label, attributes(body)) for label, body in blocks(text, "dependency")] == [
        ("vpc", {"a": "1"}),
        ("b", {"a": "2"}),
    ]


def test_attributes_are_the_blocks_own(text: str) -> None:
    ((_, body),) = blocks(text, "dependency")
    found = attributes(body)
    assert list(found) == ["config_path", "mock_outputs", "template", "after", "script", "last"]
    assert found["config_path"] == '"../vpc"'
    assert found["after"].startswith("merge(")
    assert found["after"].endswith(")")
    assert found["last"] == "true"


def test_a_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "none.hcl") == ""
