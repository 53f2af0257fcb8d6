"""An AWS API that throttles, breaks off and refuses, with real Terragrunt and OpenTofu: what is tried again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from flows.provision import ProvisionError
from sandbox.world import ACCOUNT, REGION, World
from symphony.config import load
from tests.world.proxy import BROKEN, BUSY, DENIED, FOREVER, Fault, Proxy, standing_before
from tests.world.unit_tree import ENVIRONMENT, LIVE, Repository, an_account, in_account, states, unit

pytestmark = pytest.mark.apart

BUCKET = f"symphony-state-{ACCOUNT}-{REGION}"
OPTIONS = """
variable "name" {
  type = string
}

variable "note" {
  type = string
}

resource "aws_vpc_dhcp_options" "this" {
  domain_name = "${var.name}.internal"
  tags        = { note = var.note }
}
"""
UNITS = ("bucket", "registry", "busy", "broken", "held", "options")


def text(name: str, note: str) -> str:
    made = unit(name, note=note)
    return made.replace("modules/repository", "modules/options") if name == "options" else made


@pytest.fixture(scope="module")
def through(
    machine: World, prefect: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Repository, Proxy]]:
    """Six applied units, on an account that all later runs reach through a proxy."""
    del prefect
    with (
        an_account(machine, tmp_path_factory) as account,
        in_account(account, tmp_path_factory) as repository,
        standing_before(account.aws_endpoint) as proxy,
    ):
        root = repository.folder / "infra/live/root.hcl"
        # The provider tries twice again, not for minutes, so that the task has to.
        assert "max_retries = 8" in root.read_text()
        repository.commit(
            {
                "infra/modules/options/main.tf": OPTIONS,
                "infra/live/root.hcl": root.read_text().replace("max_retries = 8", "max_retries = 2"),
                **{f"{LIVE}/{name}/terragrunt.hcl": text(name, "first") for name in UNITS},
            }
        )
        assert set(states(repository.provision()).values()) == {"applied"}
        direct = load(repository.folder / "symphony.yaml").environments[ENVIRONMENT].aws.endpoint or ""
        configuration = (repository.folder / "symphony.yaml").read_text()
        repository.commit({"symphony.yaml": configuration.replace(direct, proxy.endpoint)})
        repository.released()
        yield repository, proxy


def test_what_can_pass_is_tried_again_until_all_is_applied_and_the_story_says_it(
    through: tuple[Repository, Proxy],
) -> None:
    repository, proxy = through
    repository.commit({f"{LIVE}/{name}/terragrunt.hcl": text(name, "second") for name in UNITS})
    bursts = [
        # More than tofu, the provider and Terragrunt try by themselves.
        Fault(r"GET .*bucket/terraform\.tfstate\?", first=8),
        Fault(r"DescribeRepositories.*registry", first=4),
        Fault(r"DescribeRepositories.*busy", BUSY, first=4),
        Fault(r"DescribeRepositories.*broken", BROKEN, first=4),
        Fault(r"Action=DescribeDhcpOptions", first=4),
    ]
    # And all the while a share of everything.
    share = Fault(".", every=4)
    tried = Fault(r"PUT .*held/terraform\.tfstate\.tflock")
    proxy.faults = [*bursts, tried, share]
    s3 = repository.session.client("s3")
    lock = {
        "ID": "1",
        "Operation": "OperationTypeApply",
        "Who": "root@there",
        "Created": "2026-11-25T07:00:00Z",
        "Path": "x",
    }
    s3.put_object(Bucket=BUCKET, Key=f"{ENVIRONMENT}/held/terraform.tfstate.tflock", Body=json.dumps(lock).encode())
    over = threading.Event()

    def free() -> None:
        """Take the lock away when tofu has waited for it in vain, which is for 20 seconds."""
        while not (tried.seen or over.wait(0.1)):
            pass
        if not over.wait(26):
            s3.delete_object(Bucket=BUCKET, Key=f"{ENVIRONMENT}/held/terraform.tfstate.tflock")

    threading.Thread(target=free).start()
    try:
        results = repository.provision()
    finally:
        over.set()
        proxy.faults = []
    assert states(results) == dict.fromkeys(UNITS, "applied")
    assert [fault.given for fault in bursts] == [8, 4, 4, 4, 4]
    assert share.given > 10
    tries = repository.tries
    assert {name: result.retries for name, result in results.items()} == {
        name: sum(count - 1 for task, count in tries.items() if task.endswith(f" {name}")) for name in UNITS
    }
    assert all(result.retries for result in results.values()), results
    page = repository.page("plans-dev")
    assert "Tried again, for what can pass by itself" in page
    assert "tried again" in page.split("<summary>bucket: applied")[1].split("</summary>")[0]


def test_what_is_refused_for_good_fails_after_some_tries_what_is_denied_at_once_and_the_rest_is_applied(
    through: tuple[Repository, Proxy],
) -> None:
    repository, proxy = through
    names = ("bucket", "registry", "options")
    repository.released()
    repository.commit({f"{LIVE}/{name}/terragrunt.hcl": text(name, "third") for name in names})
    proxy.faults = [
        Fault(r"GET .*bucket/terraform\.tfstate\?", first=FOREVER),
        Fault(r"DescribeRepositories.*registry", DENIED, first=FOREVER),
    ]
    try:
        with pytest.raises(ProvisionError, match="Units of dev failed") as raised:
            repository.provision()
    finally:
        proxy.faults = []
    results = {result.unit: result for result in raised.value.results}
    assert states(results) == {"bucket": "failed", "registry": "failed", "options": "applied"}
    assert "did not get through to AWS: Error refreshing state: " in results["bucket"].reason
    assert "SlowDown" in results["bucket"].reason
    assert (results["bucket"].retries, repository.tries["plan bucket"]) == (3, 4)
    assert "AccessDenied" in results["registry"].reason
    assert (results["registry"].retries, repository.tries["plan registry"]) == (0, 1)
    page = repository.page("plans-dev")
    assert "Applied: options" in page
    assert "Not applied: bucket, registry" in page
    assert "symphony release" in page

    # Started again when AWS is there again, the run goes on.
    assert states(repository.provision()) == {"bucket": "applied", "registry": "applied", "options": "unchanged"}


def test_a_state_that_s3_does_not_take_after_an_apply_is_kept_and_written_before_the_next_plan(
    through: tuple[Repository, Proxy],
) -> None:
    repository, proxy = through
    repository.released()
    repository.commit({f"{LIVE}/bucket/terragrunt.hcl": text("bucket", "fourth")})

    def state() -> str:
        key = f"{ENVIRONMENT}/bucket/terraform.tfstate"
        return str(repository.session.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())

    proxy.faults = [Fault(r"PUT .*bucket/terraform\.tfstate\?", DENIED, first=FOREVER)]
    try:
        with pytest.raises(ProvisionError, match=r"Its state could not be written, and is kept in \S+\.tfstate"):
            repository.provision()
    finally:
        proxy.faults = []
    assert "fourth" not in state()
    assert states(repository.provision()) == {"bucket": "unchanged"}
    assert "fourth" in state()
