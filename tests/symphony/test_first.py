"""A first ``symphony.yaml``: what is found in a repository, and that whatever is found makes a file that loads."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.config import Configuration, load
from symphony.discovery import Chart, Found, Rollout, discover
from symphony.errors import BadInputError
from symphony.first import First, first, name_of

ROOT = Path(__file__).resolve().parents[2]
REMOTE = "git@github.com:acme/shop.git"
UNIT = 'include "root" { path = find_in_parent_folders("root.hcl") }\n'
ROLLOUT = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web-staging, namespace: gitops}
spec:
  source: {repoURL: x, path: deploy/web}
  destination: {namespace: shop-staging}
"""


def lay(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def read(made: First, folder: Path) -> Configuration:
    (folder / "made.yaml").write_text(made.text)
    return load(folder / "made.yaml")


def test_of_this_repository_it_says_what_its_own_file_says(tmp_path: Path) -> None:
    ours = load(ROOT / "symphony.yaml")
    found = discover(ROOT)
    made = read(first(found, "platform", REMOTE, "main"), tmp_path)
    assert list(made.environments) == list(ours.environments)
    assert made.infrastructure.live == ours.infrastructure.live
    for name, application in ours.applications.items():
        assert (made.applications[name].source, made.applications[name].chart) == (
            application.source,
            application.chart,
        )
    for name, environment in ours.environments.items():
        assert (made.environments[name].aws.account, made.environments[name].aws.region) == (
            environment.aws.account,
            environment.aws.region,
        )
        assert made.environments[name].protected is environment.protected


def test_accounts_namespaces_and_images_are_read_where_they_are_said(tmp_path: Path) -> None:
    files = {
        "services/web/Dockerfile": "FROM x",
        "services/web/Dockerfile.worker": "FROM x",
        "deploy/web/Chart.yaml": "name: web\n",
        "deploy/web/values.yaml": "image: {repository: 111111111111.dkr.ecr.eu-west-1.amazonaws.com/shop/web}\n",
        "deploy/base/Chart.yaml": "name: base\ntype: library\n",
        "argocd/web.yaml": ROLLOUT,
        "argocd/broken.yaml": "argoproj.io: [",
        "live/prod/eu-west-1/network/terragrunt.hcl": UNIT,
        "live/prod/account.hcl": 'locals { aws_account_id = "222222222222" }',
        "live/staging/network/terragrunt.hcl": UNIT,
        "live/staging/account.hcl": 'locals { aws_account_id = "333333333333" }',
        "live/region.hcl": 'locals { aws_region = "eu-west-1" }',
        "live/staging/.terragrunt-cache/x/terragrunt.hcl": UNIT,
        "node_modules/x/Dockerfile": "FROM x",
    }
    made = first(discover(lay(tmp_path, files)), "Shop!", "https://user:secret@git.acme.dev/shop", "trunk")
    read_back = read(made, tmp_path)
    assert "secret" not in made.text
    assert (read_back.project, read_back.git.remote, read_back.git.main) == (
        "shop",
        "https://git.acme.dev/shop",
        "trunk",
    )
    assert list(read_back.applications) == ["web", "web-worker"]
    web = read_back.applications["web"]
    assert (web.source, web.chart, web.repository) == ("services/web", "deploy/web", "shop/web")
    assert read_back.applications["web-worker"].dockerfile == "Dockerfile.worker"
    staging, prod = read_back.environments["staging"], read_back.environments["prod"]
    assert list(read_back.environments) == ["staging", "prod"]
    assert (staging.aws.account, prod.aws.account, prod.aws.region) == ("333333333333", "222222222222", "eu-west-1")
    assert (staging.kubernetes.namespace, staging.argocd.namespace) == ("shop-staging", "gitops")
    told = "\n".join(made.unsure)
    for said in (
        "applications.web-worker.chart: no chart is for services/web/Dockerfile.worker",
        "environments.prod.kubernetes.namespace",
        "environments.staging.kubernetes.context",
        "environments.*.argocd.url",
    ):
        assert said in told
    assert "staging.kubernetes.namespace" not in told


def test_what_is_a_guess_says_so_on_its_line(tmp_path: Path) -> None:
    made = first(discover(lay(tmp_path, {"Dockerfile": "FROM x"})), "9 lives", "", "main")
    assert read(made, tmp_path).project == "a-9-lives"
    guesses = [line for line in made.text.splitlines() if line.endswith("# check this")]
    for key in ("remote", "chart", "repository", "account", "region", "context", "namespace", "url"):
        assert any(f"{key}:" in line for line in guesses), key
    assert any("Terragrunt" in one for one in made.unsure)


def test_a_repository_with_nothing_to_deliver_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="neither a Dockerfile nor a Helm chart"):
        first(discover(lay(tmp_path, {"README.md": "x"})), "x", REMOTE, "main")


def test_what_has_a_path_that_would_be_an_option_or_another_line_is_passed_over(tmp_path: Path) -> None:
    files = dict.fromkeys(("-o/Dockerfile", "a/-o.Dockerfile", "b\nc/Dockerfile", "d-o/Dockerfile"), "FROM x")
    assert discover(lay(tmp_path, files)).dockerfiles == [PurePosixPath("d-o/Dockerfile")]


PARTS = st.text(st.characters(codec="ascii", exclude_characters="/\0"), min_size=1, max_size=50).filter(
    lambda part: part.strip(". ") and part.isprintable() and part[0] != "-"
)
PATHS = (
    st.lists(PARTS | st.sampled_from(["dev", "prod", "app"]), min_size=1, max_size=4)
    .map(lambda parts: PurePosixPath(*parts))
    .filter(lambda path: not str(path).startswith("-"))
)
FOUND = st.builds(
    Found,
    dockerfiles=st.lists(PATHS.map(lambda path: path / "Dockerfile"), min_size=1, max_size=6, unique=True),
    charts=st.lists(
        st.builds(Chart, path=PATHS, name=st.text(), environments=st.just(("dev",)), image=st.text()), max_size=4
    ),
    units=st.lists(PATHS, max_size=6),
    rollouts=st.lists(st.builds(Rollout, st.text(), st.text(), st.text() | st.just("dev"), st.text()), max_size=4),
    settings=st.just({}),
)


@given(found=FOUND, project=st.text(), remote=st.text(), main=st.just("main"))
def test_whatever_is_found_makes_a_file_that_loads(found: Found, project: str, remote: str, main: str) -> None:
    made = first(found, project, remote, main)
    assert "kind: aws" in made.text


@given(st.text())
def test_any_text_makes_a_name(text: str) -> None:
    name = name_of(text)
    assert 0 < len(name) <= 40
    assert name[0].isalpha()
    assert name[-1] != "-"
