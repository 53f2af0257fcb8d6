"""A live tree of twelve units with a stack and a diamond, by real Terragrunt and OpenTofu, on an AWS API of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flows.provision import ProvisionError
from sandbox.world import World
from symphony.errors import BadInputError
from tasks.git import git
from tests.world.unit_tree import ENVIRONMENT, INCLUDE, LIVE, SOURCE, Repository, an_account, in_account, states, unit

pytestmark = pytest.mark.apart

CATALOG = f"""{INCLUDE}{SOURCE}
dependency "network" {{
  config_path = "${{get_repo_root()}}/{LIVE}/network"
}}

inputs = {{
  name = values.name
  note = dependency.network.outputs.name
}}
"""
STACK = """
unit "cart" {
  source = "${get_repo_root()}/infra/units/shop"
  path   = "cart"
  values = { name = "cart" }
}
"""
SECOND = """
unit "till" {
  source = "../../../units/shop"
  path   = "till"
  values = { name = "till" }
}
"""
ISLES = ("isle-a", "isle-b", "isle-c", "isle-d")
UNITS = {
    "network": (),
    "service": ("network",),
    "north": ("network",),
    "south": ("network",),
    "junction": ("north", "south"),
    "tail": ("junction",),
    **dict.fromkeys(ISLES, ()),
}
"""Each unit and what it depends on; a stack adds two more."""
CART, TILL = "shop/.terragrunt-stack/cart", "shop/.terragrunt-stack/till"


@pytest.fixture(scope="module")
def repository(machine: World, prefect: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """Ten written units and a stack of two, applied."""
    del prefect
    with an_account(machine, tmp_path_factory) as account, in_account(account, tmp_path_factory) as made:
        made.commit(
            {
                "infra/units/shop/terragrunt.hcl": CATALOG,
                f"{LIVE}/shop/terragrunt.stack.hcl": STACK + SECOND,
                **{f"{LIVE}/{name}/terragrunt.hcl": unit(name, *needs) for name, needs in UNITS.items()},
            }
        )
        assert set(states(made.provision()).values()) == {"applied"}
        made.released()
        yield made


@pytest.fixture(autouse=True)
def same_again(repository: Repository) -> Iterator[None]:
    """Each test begins and ends with the same repository, applied."""
    begin = repository.base
    yield
    end = git("rev-parse", "HEAD", cwd=repository.folder)
    git("reset", "--quiet", "--hard", begin, cwd=repository.folder)
    # Backwards, so that what the test changed is put back and what it added goes again.
    repository.base = end
    if end != begin:
        repository.provision(destroy=True, move_states=True)
    repository.base = begin


def test_the_units_of_a_stack_are_applied_after_what_they_depend_on(repository: Repository) -> None:
    assert {"network", "service", "cart", "till"} <= repository.repositories
    repository.base = ""
    results = repository.provision()
    assert states(results) == dict.fromkeys((*UNITS, CART, TILL), "unchanged")
    order = list(results)
    assert max(order.index("north"), order.index("south")) < order.index("junction") < order.index("tail")


def test_a_changed_source_of_a_stacks_units_affects_these_alone(repository: Repository) -> None:
    repository.commit({"infra/units/shop/terragrunt.hcl": CATALOG.replace("outputs.name", "outputs.name # why")})
    assert states(repository.provision()) == {CART: "unchanged", TILL: "unchanged"}


def test_a_changed_value_of_a_stack_is_applied(repository: Repository) -> None:
    repository.commit({f"{LIVE}/shop/terragrunt.stack.hcl": STACK.replace('"cart" }', '"basket" }') + SECOND})
    results = repository.provision()
    assert states(results) == {CART: "applied", TILL: "unchanged"}
    assert "basket" in repository.repositories


def test_a_removed_unit_is_destroyed_only_where_the_run_says_so(repository: Repository) -> None:
    repository.commit({f"{LIVE}/service/terragrunt.hcl": None})
    assert states(repository.provision()) == {"service": "removed, not destroyed"}
    assert "service" in repository.repositories
    planned = repository.provision(destroy=True, plan_only=True)
    assert states(planned) == {"service": "planned"}
    assert "service" in repository.repositories
    results = repository.provision(destroy=True)
    assert states(results) == {"service": "destroyed"}
    assert results["service"].plan is not None
    assert [(one.address, one.action) for one in results["service"].plan.changes] == [
        ("aws_ecr_repository.this", "destroy")
    ]
    assert "service" not in repository.repositories
    assert "network" in repository.repositories
    assert states(repository.provision(destroy=True)) == {"service": "unchanged"}


def test_units_that_needed_each_other_are_destroyed_dependants_first(repository: Repository) -> None:
    repository.commit(
        {
            f"{LIVE}/service/terragrunt.hcl": None,
            f"{LIVE}/network/terragrunt.hcl": None,
            f"{LIVE}/shop/terragrunt.stack.hcl": None,
            **{f"{LIVE}/{name}/terragrunt.hcl": unit(name) for name in ("north", "south")},
        }
    )
    results = {name: one for name, one in repository.provision(destroy=True).items() if one.state == "destroyed"}
    assert states(results) == dict.fromkeys((CART, TILL, "service", "network"), "destroyed")
    assert list(results)[-1] == "network"
    assert not repository.repositories & {"network", "service", "cart", "till"}


def test_a_unit_taken_out_of_a_stack_is_removed_and_its_neighbour_stays(repository: Repository) -> None:
    repository.commit({f"{LIVE}/shop/terragrunt.stack.hcl": STACK})
    assert states(repository.provision()) == {CART: "unchanged", TILL: "removed, not destroyed"}
    assert states(repository.provision(destroy=True)) == {CART: "unchanged", TILL: "destroyed"}
    assert "till" not in repository.repositories
    assert "cart" in repository.repositories


def test_an_added_unit_is_applied_and_a_moved_ones_state_follows_it_where_the_run_says_so(
    repository: Repository,
) -> None:
    repository.commit(
        {
            f"{LIVE}/added/terragrunt.hcl": unit("added"),
            f"{LIVE}/service/terragrunt.hcl": None,
            f"{LIVE}/front/terragrunt.hcl": unit("service", "network"),
        }
    )
    made = repository.created("service")
    with pytest.raises(ProvisionError, match="It moved from service, and its state is still at") as raised:
        repository.provision(destroy=True)
    results = {result.unit: result for result in raised.value.results}
    # Neither made a second time nor destroyed, also where the run destroys what is gone.
    assert states(results) == {"added": "applied", "front": "failed"}
    assert states(repository.provision(plan_only=True))["front"] == "held back"

    results = repository.provision(move_states=True, destroy=True)
    assert states(results) == {"added": "unchanged", "front": "applied"}
    assert results["front"].plan is not None
    assert {(one.address, one.action) for one in results["front"].plan.changes} == {
        ("aws_ecr_repository.this", "change")  # its tag `unit`
    }
    assert repository.created("service") == made
    assert states(repository.provision(destroy=True)) == {"added": "unchanged", "front": "unchanged"}
    keys = repository.keys
    assert f"{ENVIRONMENT}/front/terraform.tfstate" in keys
    assert f"{ENVIRONMENT}/service/terraform.tfstate" not in keys
    assert not [key for key in keys if key.endswith(".tflock")]


def test_a_failure_in_the_middle_of_a_diamond_holds_back_what_needs_it_and_nothing_else(
    repository: Repository,
) -> None:
    def at(name: str, note: str) -> str:
        return unit(name, *UNITS[name], note=note)

    changed = {f"{LIVE}/{name}/terragrunt.hcl": at(name, "second") for name in ("south", "isle-a", "isle-b")}
    # Another name makes it anew, and AWS has that one already.
    broken = at("north", "second").replace('name = "north"', 'name = "network"')
    repository.commit({**changed, f"{LIVE}/north/terragrunt.hcl": broken})
    with pytest.raises(ProvisionError, match="failed: north") as raised:
        repository.provision()
    results = {result.unit: result for result in raised.value.results}
    expected = dict.fromkeys(("south", "isle-a", "isle-b"), "applied")
    assert states(results) == {**expected, "north": "failed", "junction": "held back", "tail": "held back"}
    assert results["junction"].reason == "It depends on north, which failed."
    assert results["tail"].reason == "It depends on junction, which is held back."
    # What cannot pass by itself is tried once.
    assert repository.tries["apply north"] == 1
    page = repository.page("plans-dev")
    assert "Applied: " in page
    assert "Not applied: north, junction, tail" in page
    assert "symphony release" in page

    repository.commit({f"{LIVE}/north/terragrunt.hcl": at("north", "second")})
    # Started again, the run goes on where it was.
    done = dict.fromkeys(("south", "isle-a", "isle-b", "junction", "tail"), "unchanged")
    assert states(repository.provision()) == {**done, "north": "applied"}


def test_an_applied_dependency_without_a_new_output_fails_the_plan_and_no_mock_is_stored(
    repository: Repository,
) -> None:
    mocks = (
        '  mock_outputs_allowed_terraform_commands = ["validate"]\n  mock_outputs = {\n    fresh = "mock-value"\n  }\n'
    )
    text = unit("service", "network", more=mocks).replace("outputs.name", "outputs.fresh")
    repository.commit({f"{LIVE}/service/terragrunt.hcl": text})
    with pytest.raises(ProvisionError, match="failed: service") as raised:
        repository.provision()
    assert "fresh" in str(raised.value)
    assert "mock-value" not in repository.states


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "  mock_outputs_allowed_terraform_commands = []\n",
        '  mock_outputs_allowed_terraform_commands = ["validate", "plan"]\n',
        '  mock_outputs_allowed_terraform_commands = ["validate"]\n  mock_outputs_merge_with_state = true\n',
    ],
)
def test_what_would_let_a_mock_into_the_state_is_refused_before_anything_is_planned(
    repository: Repository, rule: str
) -> None:
    mocks = f'{rule}  mock_outputs = {{\n    fresh = "mock-value"\n  }}\n'
    text = unit("service", "network", more=mocks).replace("outputs.name", "outputs.fresh")
    repository.commit({f"{LIVE}/service/terragrunt.hcl": text})
    with pytest.raises(BadInputError, match=f"{LIVE}/service/terragrunt.hcl, dependency 'network'"):
        repository.provision()
    assert "mock-value" not in repository.states
