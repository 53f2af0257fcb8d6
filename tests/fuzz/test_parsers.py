"""Every parser of outside input returns, or raises the project's own error; `make fuzz` tries 100,000 inputs."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cli import trigger
from deployments import listing
from deployments.client import rows
from deployments.github import PullRequest
from deployments.roles import Credentials, named
from sandbox.aws import login
from sandbox.git import http
from sandbox.git.settings import GitSettings
from sandbox.registry import manifest
from sandbox.registry.notification import pushes
from symphony.config import Ingress, load
from symphony.discovery import discover
from symphony.errors import SymphonyError
from symphony.first import first
from symphony.models import Image
from symphony.outside import MalformedError, read_documents, read_json, read_yaml
from symphony.smoke import Expected, Smoke
from symphony.watch import Watch
from tasks import argocd, aws, findings, hcl, holds, outputs, records, state_file
from tasks.affected import chart_folders
from tasks.answer import Answer, Target, base_of, judge
from tasks.content import bases_of
from tasks.desired import parse
from tasks.diagnosis import diagnose
from tasks.ingress import annotated, targets
from tasks.live import Live
from tasks.manifest_diff import changes, parsed
from tasks.mocks import broken_rules
from tasks.plan import read_plan, sensitive_values
from tasks.policy import read_exceptions
from tasks.promised import served
from tasks.units import parse_units
from tests.fuzz import inputs
from tests.fuzz.inputs import like, lines, words, written

INPUTS = int(os.environ.get("SYMPHONY_FUZZ", "100"))
"""Inputs that each parser is given."""
OWN = (SymphonyError, MalformedError)
LIVE = Live(tree=inputs.ROOT, root="infra/live", environment="dev", environments=("dev",))
IMAGE = Image(application="one", repository="r/one", tag="t", digest=inputs.DIGEST, built=True, commit="c" * 40)
TARGET = Target("one", "one.example.com", "/", "http://10.0.0.7", Expected(fields={"$.a[*].b": 1}), IMAGE)
HERE = Path(tempfile.mkdtemp(prefix="symphony-fuzz-"))
Parser = Callable[[Any], object]


def in_file(name: str, reader: Callable[[Path], object]) -> Parser:
    def read(text: str) -> object:
        file = HERE / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode(errors="surrogatepass"))
        return reader(file)

    return read


def in_git(module: Any, reader: Callable[[], object]) -> Parser:
    """A reader of a file on a branch, whose text is the input."""

    def read(text: str) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "git", lambda *_, **__: text)
            patch.setattr(module, "head", lambda *_: "a" * 40)
            if hasattr(module, "contents"):
                patch.setattr(module, "contents", lambda _, names: dict.fromkeys(names, text))
            return reader()

    return read


def in_s3(reader: Callable[[], object]) -> Parser:
    """A reader of an object of S3, whose content is the input."""

    class Store:
        def __init__(self, text: str) -> None:
            self.content = text.encode(errors="surrogatepass")

        def get_object(self, **_: object) -> dict[str, Any]:
            return {"Body": io.BytesIO(self.content)}

    def read(text: str) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aws, "client", lambda *_: Store(text))
            return reader()

    return read


def hold(text: str) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holds, "git", lambda *_, **__: "dev/one.json\0")
        patch.setattr(holds, "head", lambda *_: "a" * 40)
        patch.setattr(holds, "contents", lambda *_: {"a": text})
        return holds.read_holds(HERE, "dev")


def discovered(text: str) -> object:
    for name in ("Dockerfile", "a/Chart.yaml", "a/values.yaml", "apps.yaml", "live/dev/a/terragrunt.hcl"):
        in_file(f"repository/{name}", str)(text)
    return first(discover(HERE / "repository"), "shop", "https://git.example.com/shop.git", "main")


def all_of_hcl(text: str) -> object:
    plain = hcl.without_comments(text)
    found = [hcl.attributes(body) for _, body in hcl.blocks(plain, "dependency")]
    in_file("unit/terragrunt.hcl", str)(text)
    in_file("unit/terragrunt.hcl.json", str)(text)
    with contextlib.suppress(OSError):
        found += [
            dict.fromkeys(broken_rules(HERE, f"unit/{name}")) for name in ("terragrunt.hcl", "terragrunt.hcl.json")
        ]
    return found


def promised(ingress: Any) -> object:
    return targets(served(ingress, Ingress()), IMAGE, annotated(ingress, Smoke()))


def answered(body: bytes) -> object:
    return judge(Answer(200, (), body, 1.0, "", ""), TARGET, lambda: "c" * 40)


def redirected(url: str) -> object:
    told = Answer(302, (), b"", 1.0, url, "")
    target = Target("one", "one.example.com", "/", "http://10.0.0.7", Expected(redirect="/x"))
    return base_of(url, {"http://one.example.com": "http://10.0.0.7"}), judge(told, target, str)


def of_workflow(text: str) -> object:
    in_file("event.json", str)(text)
    environ = {"GITHUB_EVENT_PATH": str(HERE / "event.json"), "GITHUB_TOKEN": "t", "GITHUB_REPOSITORY": "a/b"}
    return PullRequest.of_workflow(environ)


def credentials(text: str) -> object:
    return in_file("logins.json", lambda file: Credentials(file).logins())(text)


def json_path(text: str) -> object:
    return Expected.model_validate({"fields": {text: 1}})


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode(errors='replace')).decode()}"


def login_of_registry(text: str) -> object:
    with contextlib.suppress(login.LoginError):
        login.check("secret", "AWS", text, 0)
    return None


PARSERS: dict[str, tuple[st.SearchStrategy[Any], Parser]] = {
    "symphony.yaml": (written(inputs.CONFIGURATION), in_file("symphony.yaml", load)),
    "prefect.yaml": (written(inputs.LISTING), in_file("prefect.yaml", listing.read)),
    "image references": (lines("/v2/", "dev/one", "/manifests/", "sha256:", "d" * 64, "%2f"), manifest.target),
    "ECR push events": (written(inputs.NOTIFICATION), lambda text: pushes(text.encode(errors="surrogatepass"))),
    "GitHub's event": (written(inputs.EVENT), of_workflow),
    "Terraform plan": (written(inputs.PLAN), lambda text: (read_plan("a", text, text, 1), sensitive_values("a", text))),
    "tofu's lock": (
        written(inputs.LOCK),
        in_s3(lambda: state_file.read_lock(None, state_file.StateFile(bucket="b", key="k"))),  # type: ignore[arg-type]
    ),
    "Terragrunt's units": (written(inputs.FIND), lambda text: parse_units(LIVE, text)),
    "tofu's complaints": (
        lines("Error: ", "│ ", "\n", "* ", "ID: ", "Error acquiring the state lock", "ERRO"),
        lambda text: str(diagnose("plan", "a", text.splitlines())),
    ),
    "HCL": (
        lines("dependency ", '"a" {', "}", "\n", '"', "<<EOT\n", "EOT\n", "# ", "/*", "*/", "a = [", "${"),
        all_of_hcl,
    ),
    "HTTP answers": (written({"a": [{"b": 1}], "digest": "d"}).map(lambda one: one.encode(errors="replace")), answered),
    "redirects": (lines("http://", "one.example.com", "/", "[", "]", ":", "@", "%", "?", "//"), redirected),
    "JSONPath": (lines("$", ".", "[*]", "..", "a", "(", ")", "[", "]", "'", "`", "|"), json_path),
    "outputs": (written({"a": {"b": 1}}), in_git(outputs, lambda: outputs.known_outputs(HERE, "dev"))),
    "release records": (written(inputs.RECORD), in_git(records, lambda: records.read_record(HERE, "dev/a.json"))),
    "holds": (written(inputs.HOLD), hold),
    "findings": (written(inputs.FINDING), in_git(findings, lambda: findings.read_findings(HERE, "dev"))),
    "desired state": (written(inputs.ENTRY), parse),
    "Dockerfiles": (
        lines("FROM ", "--platform=x ", " AS a", "COPY --from=", "ARG a=b", "$a", "${a:-b}", "\n", "\\\n"),
        lambda text: bases_of(text, {"a": "b"}),
    ),
    "a repository's files": (written(inputs.ROLLOUT) | written(inputs.CHART), discovered),
    "Chart.yaml": (written(inputs.CHART), in_file("chart/Chart.yaml", lambda _: chart_folders(HERE, "chart"))),
    "Argo CD's Applications": (like(inputs.APPLICATION), lambda one: argocd.judge(one, lambda _: "carries")),
    "Ingresses": (like(inputs.INGRESS), promised),
    "smoke's annotation": (
        written(inputs.SMOKE),
        lambda text: annotated({"metadata": {"name": "a", "annotations": {"symphony.dev/smoke": text}}}, Smoke()),
    ),
    "manifests": (written(inputs.MANIFEST), lambda text: changes({}, parsed(text))),
    "the policy's exceptions": (written(inputs.EXCEPTIONS), in_file("exceptions.yaml", read_exceptions)),
    "tag patterns": (
        st.fixed_dictionaries(
            {"policy": st.sampled_from(["semver", "digest"])},
            optional={"constraint": words, "tag": words, "allow": st.lists(words)},
        ),
        Watch.model_validate,
    ),
    "parameters": (lines("a", "=", "[", "{", '"', "1" * 5000, "[" * 50_000), trigger._parameter),  # noqa: SLF001
    "tables": (written([{"a": "b"}]), rows),
    "logins": (written({"ada": {"role": "ci", "sha256": "a" * 64}}), credentials),
    "Authorization headers": (
        st.one_of(
            words,
            words.map(lambda one: f"Basic {base64.b64encode(one.encode(errors='replace')).decode()}"),
            words.map("Basic {}".format),
        ),
        lambda header: (named(header), http.welcome(GitSettings("h", 1, "r", "u", "p", "", "", "e", "s"), header)),
    ),
    "registry logins": (lines("a", ".", "AWS", "=", "\ud7ff"), login_of_registry),
    "JSON": (written({}), read_json),
    "YAML": (
        written({}) | lines("a", ": ", "- ", "\n", "&a ", "*a", "!!int ", "? ", "| ", "2001-01-01", "<<: "),
        read_yaml,
    ),
    "documents": (lines("a", ": ", "---\n", "\n", "...\n", "%YAML 1.1\n"), read_documents),
}


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_returns_or_raises_the_projects_own_error(name: str) -> None:
    strategy, parser = PARSERS[name]

    @settings(max_examples=INPUTS, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def holds_for(given_: Any) -> None:
        with contextlib.suppress(*OWN, ValidationError if name in {"tag patterns", "JSONPath"} else SymphonyError):
            parser(given_)

    holds_for()
