"""This repository's infrastructure in a checkout of its own, with one environment."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import boto3
from prefect_aws import AwsCredentials
from pydantic import SecretStr
from ruamel.yaml import YAML

from sandbox.world import World
from tasks.git import git

ROOT = Path(__file__).parents[2]
IGNORED = shutil.ignore_patterns(".terragrunt-cache", ".terraform*")
_LIKE = "dev"


def sign_in() -> None:
    """Let flows find the credentials of this process's environment, as a deployment's flows find the server's."""
    session: Any = boto3.Session()
    login = session.get_credentials()
    AwsCredentials(aws_access_key_id=login.access_key, aws_secret_access_key=SecretStr(login.secret_key)).save(
        "aws", overwrite=True
    )


def lay_out(tree: Path, environment: str, world: World) -> None:
    """Write what is under ``infra/``, and a symphony.yaml, with one environment alone.

    The checkout is a Git repository and its own remote, which takes what runs publish.

    Args:
        tree: Folder of the checkout.
        environment: One of this repository's, or what dev is called there.
        world: Whose AWS API it is applied to.
    """
    infra, live = tree / "infra", tree / "infra" / "live"
    for folder in ("modules", "units", "policies"):
        shutil.copytree(ROOT / "infra" / folder, infra / folder, ignore=IGNORED)
    live.mkdir()
    for file in (ROOT / "infra" / "live").glob("*.hcl"):
        shutil.copy(file, live / file.name)
    yaml = YAML(typ="safe")
    configuration = yaml.load(ROOT / "symphony.yaml")
    like = environment if environment in configuration["environments"] else _LIKE
    shutil.copytree(ROOT / "infra" / "live" / like, live / environment, ignore=IGNORED)
    env = live / environment / "env.hcl"
    env.write_text(env.read_text().replace(f'"{like}"', f'"{environment}"'))
    target = configuration["environments"][like]
    target["aws"]["endpoint"] = world.aws_endpoint
    configuration["environments"] = {environment: target}
    yaml.dump(configuration, tree / "symphony.yaml")
    git("init", "--quiet", cwd=tree)
    git("remote", "add", "origin", ".", cwd=tree)
