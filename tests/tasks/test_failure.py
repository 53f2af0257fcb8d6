import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact

from deployments.apply import ROOT, flow_of
from deployments.listing import read
from symphony.errors import DeployError
from tasks.failure import show_failure


def left(environment: str) -> list[Artifact]:
    key = ArtifactFilter(key=ArtifactFilterKey(any_=[f"failure-{environment}"]))
    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=key)


@pytest.mark.parametrize(
    ("raised", "card", "page"),
    [
        (DeployError("It is <b>not</b> up.\nIts log:"), "It is &lt;b&gt;not&lt;/b&gt; up. Its log:", "up.\nIts log:"),
        (DeployError("word " * 200), "word word …", "word word word"),
        (KeyError("no sentence"), "&#x27;no sentence&#x27;", "'no sentence'"),
    ],
)
def test_the_reason_of_a_failed_run_stands_on_a_card_of_its_own(
    prefect: None, raised: Exception, card: str, page: str
) -> None:
    del prefect
    environment = f"try-{len(str(raised))}"

    @flow(on_failure=[show_failure])
    def fail(environment: str) -> None:
        del environment
        raise raised

    ended = fail(environment, return_state=True)
    (found,) = left(environment)
    assert card in str(found.description)
    assert len(str(found.description).splitlines()) == 1
    assert page in str(found.data)
    assert found.task_run_id is None
    assert found.flow_run_id == ended.state_details.flow_run_id


def test_every_flow_that_is_deployed_leaves_its_reason() -> None:
    for one in read(ROOT / "prefect.yaml"):
        assert show_failure in flow_of(one).on_failure_hooks  # type: ignore[attr-defined]
