from __future__ import annotations

from typing import Any

import pytest

from tasks.pods import Diagnosis, Fault, ended_badly, fault_of


def pod(**container: Any) -> dict[str, Any]:
    status = {"name": "one", "ready": False, "restartCount": 0, "state": {}, **container}
    return {"metadata": {"name": "one-abc"}, "status": {"containerStatuses": [status]}}


ENDED = {"terminated": {"exitCode": 3, "reason": "Error"}}
WELL = {"terminated": {"exitCode": 0, "reason": "Completed"}}
RUNS = {"running": {}}


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def test_a_crash_loop_tells_exit_code_and_restarts() -> None:
    fault = fault_of(pod(state=waits("CrashLoopBackOff", "back-off 10s"), lastState=ENDED, restartCount=1))
    assert fault == Fault(pod="one-abc", container="one", reason="CrashLoopBackOff", exit_code=3, restarts=1)


def test_a_container_that_ended_badly_twice_crashes_also_while_it_is_up_for_a_moment() -> None:
    assert fault_of(pod(state=RUNS, lastState=ENDED, restartCount=1)) is None
    assert fault_of(pod(state=RUNS, lastState=ENDED, restartCount=2)) is not None


@pytest.mark.parametrize(
    "container",
    [
        {"state": RUNS},
        {"state": RUNS, "ready": True, "lastState": ENDED, "restartCount": 5},
        {"state": RUNS, "lastState": WELL, "restartCount": 5},
        {"state": waits("ContainerCreating")},
        {"state": waits("PodInitializing")},
    ],
)
def test_what_may_still_come_up_is_no_fault(container: dict[str, Any]) -> None:
    assert fault_of(pod(**container)) is None


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled_tells_the_registrys_answer(reason: str) -> None:
    fault = fault_of(pod(state=waits(reason, "manifest unknown")))
    assert fault is not None
    assert fault.exit_code is None
    assert fault.sentence == f"the image of container one cannot be pulled ({reason}: manifest unknown)"


def test_an_init_container_counts() -> None:
    found = pod(state=waits("PodInitializing"))
    found["status"]["initContainerStatuses"] = [
        {"name": "migrate", "restartCount": 2, "state": ENDED, "lastState": ENDED}
    ]
    fault = fault_of(found)
    assert fault is not None
    assert fault.container == "migrate"


def test_a_pod_that_is_not_started_again_ended_badly_or_well() -> None:
    for phase, state, code in (("Failed", ENDED, 3), ("Succeeded", WELL, None), ("Running", RUNS, None)):
        found = pod(state=state)
        found["status"]["phase"] = phase
        assert fault_of(found) is None
        fault = ended_badly(found)
        assert (fault.exit_code if fault else None) == code


def test_the_sentence_ends_with_the_last_thing_the_container_said() -> None:
    fault = Fault(pod="p", container="one", reason="OOMKilled", exit_code=1, restarts=1, log=("a", "no disk", " "))
    assert fault.sentence == ("container one ended with exit code 1 (OOMKilled, 1 restart); its last log line: no disk")


def test_the_page_shows_all_of_it_and_lets_nothing_out_of_its_block() -> None:
    fault = Fault(pod="p", container="one", reason="Error", exit_code=1, log=("```", "<script>"))
    page = Diagnosis(
        application="one", reason="pod p | fails", faults=(fault,), pending=("no node",), events=("Pod p: Failed",)
    ).page
    assert "````\n```\n<script>\n````" in page
    assert "fails" in page
    assert "- no node" in page
    assert "- Pod p: Failed" in page


def test_without_a_fault_the_sentence_tells_what_the_cluster_says() -> None:
    found = Diagnosis(
        application="one",
        reason="it waits",
        pending=("no node fits.",),
        events=("Pod a: old", "Pod b: FailedScheduling"),
    )
    assert found.sentence == "it waits; no node fits; Pod b: FailedScheduling"
