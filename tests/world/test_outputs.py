"""An output of a unit on its way into a running application: pushed, released, and followed when it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kubernetes import client, config
from ruamel.yaml import YAML

from sandbox.aws.client import client as aws
from sandbox.world import World
from tests.world.test_release import Platform

ANNOTATION = "example.com/pull-role"
NOTE = 'output "note" {\n  description = "A test."\n  value       = "VALUE"\n}\n'


def annotations(world: World) -> dict[str, str]:
    """What the service account of dev's hello says."""
    api = client.CoreV1Api(config.new_client_from_config(str(world.kubeconfig)))  # type: ignore[no-untyped-call]
    return dict(api.read_namespaced_service_account("hello", "dev").metadata.annotations or {})


def test_an_output_reaches_the_chart_and_is_followed_when_it_changes(world: World, tmp_path: Path) -> None:
    platform = Platform.take(world, tmp_path)
    good = platform.git("rev-parse", "origin/main^{tree}")
    outputs = Path("infra/modules/access/outputs.tf")

    def take(copy: Path) -> None:
        yaml = YAML()
        configuration: Any = yaml.load(copy / "symphony.yaml")
        asked = {ANNOTATION: "{access.pull_role_arn}", "example.com/note": "{access.note}"}
        configuration["applications"]["hello"]["values"] = {"serviceAccount": {"annotations": asked}}
        yaml.dump(configuration, copy / "symphony.yaml")
        with (copy / outputs).open("a") as file:
            file.write(NOTE.replace("VALUE", "first"))

    def change(copy: Path) -> None:
        text = (copy / outputs).read_text()
        (copy / outputs).write_text(text.replace('"first"', '"second"'))

    def mend(copy: Path) -> None:
        del copy
        platform.git("read-tree", "--reset", "-u", good)

    try:
        first = platform.released(platform.push("hello takes outputs", take))
        assert first.succeeded, first.message
        role = aws(world, "iam").get_role(RoleName="dev-image-pull")["Role"]["Arn"]
        seen = annotations(world)
        assert (seen[ANNOTATION], seen["example.com/note"]) == (role, "first")
        assert "first" in (platform.api.artifact(first.id, "outputs-dev") or "")

        second = platform.released(platform.push("another output alone", change))
        assert second.succeeded, second.message
        assert annotations(world)["example.com/note"] == "second"
    finally:
        assert platform.released(platform.push("mend", mend)).succeeded
    assert ANNOTATION not in annotations(world)
