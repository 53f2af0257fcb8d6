from __future__ import annotations

import pytest
from pydantic import ValidationError

from symphony.smoke import Smoke


def test_an_annotation_replaces_what_it_names_and_leaves_the_rest() -> None:
    whole = Smoke.model_validate({"version": "/v", "good": 7, "paths": {"/a": {"status": 200}, "/b": {"status": 204}}})
    found = whole.with_annotation({"version": None, "paths": {"/a": {"body": "x"}}})
    assert (found.version, found.good) == (None, 7)
    assert (found.paths["/a"].status, found.paths["/a"].body, found.paths["/b"].status) == (None, "x", 204)


@pytest.mark.parametrize(
    "given",
    [
        {"paths": {"no-slash": {}}},
        {"paths": {"/": {"fields": {"$.[": 1}}}},
        {"paths": {"/": {"redirect": "elsewhere"}}},
        {"paths": {"/": {"seconds": 0}}},
        {"good": 0},
        {"surprise": 1},
    ],
)
def test_what_breaks_a_rule_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Smoke.model_validate(given)
