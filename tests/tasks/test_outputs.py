from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from symphony.change import Change
from symphony.errors import BadInputError, SymphonyError, TransientError
from tasks import outputs
from tasks.affected import fed_anew
from tasks.desired import laid_out, read_desired
from tasks.desired_commit import write_desired
from tasks.live import Live
from tasks.outputs import filled, known_outputs, publish_outputs, unit_outputs
from tasks.units import Unit

if TYPE_CHECKING:
    from tests.conftest import Delivery

UNIT = Unit(path="network")
STATE = {"outputs": {"vpc_id": {"value": "vpc-1"}, "key": {"value": "hidden", "sensitive": True}}}
BACKEND = {"backend": {"type": "s3", "config": {"bucket": "states", "key": "dev/network/terraform.tfstate"}}}


class Bucket:
    """As much of S3 as is asked for."""

    def __init__(self, content: str) -> None:
        self.content = content
        self.fails = ""

    def get_object(self, **asked: str) -> dict[str, Any]:
        assert asked == {"Bucket": "states", "Key": "dev/network/terraform.tfstate"}
        if self.fails:
            raise ClientError({"Error": {"Code": self.fails, "Message": "no"}}, "GetObject")
        return {"Body": io.BytesIO(self.content.encode())}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket(json.dumps(STATE))
    monkeypatch.setattr(outputs.aws, "client", lambda *_: made)
    printed = {"vpc_id": {"value": "printed"}, "key": {"value": "hidden", "sensitive": True}}
    monkeypatch.setattr(outputs, "printed_outputs", lambda *_: printed)
    return made


def live(tree: Path, note: object = BACKEND, place: str = ".terragrunt-cache/a/b") -> Live:
    """A checkout in which the unit was initialised, and one within it too."""
    made = Live(tree, "infra/live", "dev")
    for folder, text in ((place, note), ("inner/.terraform", {"backend": {"type": "s3", "config": {}}})):
        file = made.folder / "network" / folder / ".terraform" / "terraform.tfstate"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(text))
    return made


def read(at: Live) -> dict[str, Any]:
    target: Any = None
    return dict(unit_outputs.fn(at, UNIT, target))


@pytest.mark.parametrize("place", [".terragrunt-cache/a/b", ""])
def test_outputs_are_read_from_the_state_without_the_sensitive_ones(tmp_path: Path, bucket: Bucket, place: str) -> None:
    del bucket
    assert read(live(tmp_path, place=place)) == {"vpc_id": "vpc-1"}


@pytest.mark.parametrize("note", [{"backend": {"type": "gcs", "config": {}}}, {}])
def test_terragrunt_is_asked_where_the_state_is_not_in_s3(tmp_path: Path, bucket: Bucket, note: object) -> None:
    del bucket
    assert read(live(tmp_path, note)) == {"vpc_id": "printed"}


def test_terragrunt_is_asked_where_tofu_encrypts_the_state(tmp_path: Path, bucket: Bucket) -> None:
    bucket.content = json.dumps({"serial": 1, "encrypted_data": "abc"})
    assert read(live(tmp_path)) == {"vpc_id": "printed"}


def test_a_state_that_cannot_be_read_is_told_and_tried_again_where_that_may_pass(
    tmp_path: Path, bucket: Bucket
) -> None:
    here = live(tmp_path)
    bucket.fails = "ServiceUnavailable"
    with pytest.raises(TransientError, match="s3://states/dev/network"):
        read(here)
    bucket.fails, bucket.content = "", "<html>"
    with pytest.raises(SymphonyError, match="is no JSON"):
        read(here)


def test_outputs_are_kept_by_environment_and_unit(delivery: Delivery) -> None:
    mirror = delivery.change().mirror
    assert known_outputs(mirror, "dev") == {}
    publish_outputs.fn(mirror, "dev", {"network": {"vpc_id": "vpc-1"}, "old": {"a": 1}})
    publish_outputs.fn(mirror, "prod", {"network": {"vpc_id": "vpc-2"}})
    publish_outputs.fn(mirror, "dev", {"registry": {"urls": {"hello": "x"}}}, ["old"])
    assert known_outputs(mirror, "dev") == {"network": {"vpc_id": "vpc-1"}, "registry": {"urls": {"hello": "x"}}}
    assert known_outputs(mirror, "prod") == {"network": {"vpc_id": "vpc-2"}}
    assert known_outputs(mirror, "staging") == {}


def test_a_reference_takes_on_the_outputs_type_and_stands_within_a_text_too(delivery: Delivery) -> None:
    change = delivery.change()
    publish_outputs.fn(change.mirror, "dev", {"shop/web-role": {"arn": "arn:1", "subnets": ["a", "b"], "count": 2}})
    values = {
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "{shop/web-role.arn}"}},
        "subnets": "{shop/web-role.subnets}",
        "env": [{"text": "{shop/web-role.count} of {shop/web-role.arn}", "plain": "{{ .Values.x }}", "on": True}],
    }
    assert filled(change, values) == {
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:1"}},
        "subnets": ["a", "b"],
        "env": [{"text": "2 of arn:1", "plain": "{{ .Values.x }}", "on": True}],
    }


@pytest.mark.parametrize(("reference", "known"), [("{network.nothing}", "vpc_id"), ("{nowhere.x}", "nothing")])
def test_an_output_that_is_not_known_is_named_with_what_is(delivery: Delivery, reference: str, known: str) -> None:
    change = delivery.change()
    publish_outputs.fn(change.mirror, "dev", {"network": {"vpc_id": "vpc-1"}})
    with pytest.raises(BadInputError, match=rf"not known for dev.*Known of it: {known}\."):
        filled(change, {"x": reference})


def taking(change: Change) -> Change:
    one = change.configuration.applications["one"].model_copy(update={"values": {"vpc": "{network.vpc_id}"}})
    applications = {**change.configuration.applications, "one": one}
    return replace(change, configuration=change.configuration.model_copy(update={"applications": applications}))


def test_an_application_goes_out_with_outputs_and_again_when_they_change(delivery: Delivery) -> None:
    change = taking(delivery.change())
    publish_outputs.fn(change.mirror, "dev", {"network": {"vpc_id": "vpc-1"}})
    assert fed_anew(change) == (), "what was never deployed is affected anyway"
    with laid_out(change, [delivery.image("one", "a"), delivery.image("two", "b")]) as (entries, root):
        write_desired.fn(change, entries, root)
        assert 'vpc: "vpc-1"' in (root / "applications" / "one.yaml").read_text()
    assert read_desired(change.mirror, "dev")["one"].infrastructure == {"vpc": "vpc-1"}
    assert fed_anew(change) == ()
    publish_outputs.fn(change.mirror, "dev", {"network": {"vpc_id": "vpc-2"}})
    assert fed_anew(change) == ("one",)
