from __future__ import annotations

from typing import Any

import pytest

from flows.names import named

COMMIT = "3f2c1a9" + "0" * 33


@pytest.mark.parametrize(
    ("verb", "given", "said"),
    [
        ("release", {"commit": COMMIT}, "release → dev @ 3f2c1a9"),
        ("release", {"commit": "main"}, "release → dev @ main"),
        ("drift", {}, "drift → dev"),
        ("build", {"commit": COMMIT, "applications": ["hello", "greet"]}, "build hello, greet → dev @ 3f2c1a9"),
        ("build", {"applications": list("abcd")}, "build 4 applications → dev"),
        ("deploy", {"images": {"hello": "sha256:0"}, "commit": "main"}, "deploy hello → dev @ main"),
        ("deploy", {"restore": ["hello"]}, "deploy again hello → dev"),
        ("provision", {"restore": ["a", "b", "c", "d"]}, "provision again 4 units → dev"),
        ("provision", {"plan_only": True, "commit": "topic"}, "plan → dev @ topic"),
        (
            "rollback",
            {"applications": ["hello"], "release": "run-7", "action": "go back"},
            "rollback hello → dev @ run-7",
        ),
        ("rollback", {"applications": None, "action": "lift the hold"}, "lift the hold → dev"),
    ],
)
def test_a_name_tells_what_the_run_does(verb: str, given: dict[str, Any], said: str) -> None:
    assert named(verb, {"environment": "dev", **given}) == said


def test_what_is_known_by_now_is_told_instead() -> None:
    assert named("release", {"environment": "dev", "commit": COMMIT}, ["hello"]) == "release hello → dev @ 3f2c1a9"
