from __future__ import annotations

from pathlib import Path

import pytest

from symphony.errors import SymphonyError, TransientError
from tasks.diagnosis import complaint, diagnose

SAMPLES = Path(__file__).parent / "samples"


def lines(name: str) -> list[str]:
    """What Terragrunt 1.0 with OpenTofu 1.10 wrote."""
    return (SAMPLES / f"{name}.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("sample", "transient", "told"),
    [
        ("invalid", False, ["expected cidr_block to contain a valid Value", "on main.tf line 87", "Correct it"]),
        ("stale", False, ["state has moved since the plan", "start the run again"]),
        ("account", False, ["AWS Account ID not allowed", "another account than account.hcl"]),
        ("halfway", False, ["stopped half-way", "NoSuchEntity", "stays and is in the state"]),
        ("no-bucket", False, ["S3 bucket does not exist"]),
        ("no-outputs", False, ["is a dependency of", "detected no outputs"]),
        (
            "locked",
            True,
            ["root@somewhere holds it since 2026-11-25 07:00:00", "lock 8a5f3c0e-1111", "symphony unlock"],
        ),
        ("refused", True, ["connection refused"]),
    ],
)
def test_what_tofu_says_becomes_one_sentence_that_tells_whether_it_passes(
    sample: str,
    transient: bool,  # noqa: FBT001 - a column of the table
    told: list[str],
) -> None:
    error = diagnose("plan", "network", lines(sample))
    assert isinstance(error, TransientError) == transient
    for part in ("unit network", *told):
        assert part in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "said",
    [
        "ThrottlingException: Rate exceeded",
        "RequestLimitExceeded: Request limit exceeded.",
        "error reading ECR repository: ServiceUnavailable: status code: 503, request id: x",
        "https response error StatusCode: 500, RequestID: x",
        "read tcp 10.0.0.1:1->10.0.0.2:443: read: connection reset by peer",
        "net/http: TLS handshake timeout",
        # As the provider tells what the AWS API answered through a proxy that broke off, or said 500.
        'error reading ECR Repository (a): RequestError: send request failed caused by: Post "http://x/": EOF',
        "error reading ECR Repository (a): ServerException: no",
        "dial tcp: lookup ecr.eu-central-1.amazonaws.com: no such host",
    ],
)
def test_what_can_pass_is_transient(said: str) -> None:
    assert isinstance(diagnose("plan", "a", [f"Error: {said}"]), TransientError)


@pytest.mark.parametrize(
    "said", ["AccessDenied: not authorized", "StatusCode: 403", "Unsupported argument", "port 500"]
)
def test_what_will_not_pass_is_not(said: str) -> None:
    assert not isinstance(diagnose("plan", "a", [f"Error: {said}"]), TransientError)


def test_a_throttled_apply_that_has_begun_is_not_tried_again_with_the_same_plan() -> None:
    said = ["aws_vpc.this: Creating...", "Error: RequestLimitExceeded"]
    error = diagnose("apply", "a", said)
    assert type(error) is SymphonyError
    assert "half-way" in str(error)


def test_a_word_in_the_plan_itself_does_not_make_an_error_transient() -> None:
    said = ['  + description = "throttling is on"', "Error: Unsupported argument"]
    assert not isinstance(diagnose("plan", "a", said), TransientError)


def test_what_tofu_does_afterwards_is_no_part_of_an_error() -> None:
    said = ["Error: error reading ECR Repository (a): EOF", "", "Releasing state lock. This may take a few moments..."]
    assert complaint(said) == "error reading ECR Repository (a): EOF."


def test_box_drawing_code_and_repetition_are_left_out() -> None:
    box = ["╷", "│ Error: Bad thing", "│ ", "│   on main.tf line 3:", "│    3: bad = 1", "│ ", "│ Because.", "╵"]
    assert complaint([*box, *box]) == "Bad thing on main.tf line 3: Because."


def test_a_tool_that_says_nothing_is_told_as_such() -> None:
    assert complaint([]) == "it wrote nothing."


def test_a_very_long_complaint_is_cut() -> None:
    assert len(complaint([f"Error: {'x' * 5000}"])) < 1300


def test_a_lock_that_s3_refuses_to_write_is_nobodys() -> None:
    def refused(why: str) -> SymphonyError:
        said = ["Error: Error acquiring the state lock", "", f"Error message: operation error S3: PutObject, {why}"]
        return diagnose("plan", "network", said)

    throttled = refused("https response error StatusCode: 503, api error SlowDown: Please reduce your request rate.")
    assert isinstance(throttled, TransientError)
    assert "did not get through to AWS" in str(throttled)
    denied = refused("https response error StatusCode: 403, api error AccessDenied: no")
    assert type(denied) is SymphonyError
    assert "AccessDenied" in str(denied)
    taken = refused("https response error StatusCode: 412, api error PreconditionFailed: no")
    assert isinstance(taken, TransientError)
    assert "does not say by whom" in str(taken)


def test_a_state_that_init_cannot_read_is_told_and_may_pass() -> None:
    lines = [
        "Initializing the backend...",
        "Error refreshing state: operation error S3: GetObject, exceeded maximum number of attempts, 5, https response",
        "error StatusCode: 503, api error SlowDown: SlowDown",
        'ERRO[0009] Failed to execute "tofu init -no-color" in ./.terragrunt-cache/x',
        '* Failed to execute "tofu init -no-color" in ./.terragrunt-cache/x',
    ]
    error = diagnose("plan", "network", lines)
    assert isinstance(error, TransientError)
    assert "Error refreshing state: operation error S3" in str(error)
