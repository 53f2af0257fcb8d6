"""A cluster that the user has, as the sandbox takes it: the sandbox's own stands in for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import existing_cluster
from sandbox.existing_cluster import ExistingCluster
from sandbox.part import NotReadyError
from sandbox.world import World
from symphony.errors import BadInputError


def test_a_context_of_the_users_kubeconfig_is_taken_and_given_back(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "config"
    theirs.write_text(world.kubeconfig.read_text())
    monkeypatch.setenv("KUBECONFIG", str(theirs))
    other = World(source=world.source, state=tmp_path / "state", tools=world.tools)
    part = ExistingCluster()
    existing_cluster.choose(other, "minikube")
    with pytest.raises(BadInputError, match="no context 'minikube'; there are: symphony"):
        part.bring_up(other)
    existing_cluster.choose(other, "symphony")
    part.bring_up(other)
    part.check(other)
    part.stop(other)
    with pytest.raises(NotReadyError):
        part.check(other)
    assert theirs.read_text() == world.kubeconfig.read_text()
