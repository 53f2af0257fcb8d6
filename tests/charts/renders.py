"""What the charts render to: each application in each environment, and what each feature changes.

``make charts`` writes the golden renders anew, and copies the schema of an application's values to where Helm looks.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from sandbox.toolchain import folders
from sandbox.world import cache_home
from symphony.config import load
from symphony.models import Desired
from tasks.desired import file_of, text
from tasks.helm import template, value_files, vendor
from tasks.manifest_diff import changes, parsed

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
FEATURES = {path.stem: path.read_text() for path in sorted((Path(__file__).parent / "features").glob("*.yaml"))}
"""Values that turn a feature on, as YAML."""
SCHEMA = ROOT / "charts" / "service" / "application.schema.json"
CONFIGURATION = load(ROOT / "symphony.yaml")
APPLICATIONS = tuple(CONFIGURATION.applications)
ENVIRONMENTS = tuple(CONFIGURATION.environments)


def desired(application: str, environment: str) -> Desired:
    """An entry of an environment's branch; its commit is of digits alone, which YAML would take for a number."""
    chart = f"charts/{application}"
    return Desired(
        application=application,
        environment=environment,
        chart=chart,
        values=value_files(ROOT, chart, environment),
        commit="1" * 40,
        repository=f"registry.example/{environment}/{application}",
        digest="sha256:" + "2" * 64,
    )


def lay_out(folder: Path) -> Path:
    """A folder as an environment's branch is: the vendored charts, and room for the applications' files."""
    for application in APPLICATIONS:
        vendor(ROOT, f"charts/{application}", folder / "charts" / application)
    (folder / "applications").mkdir()
    return folder


def rendered(branch: Path, entry: Desired, extra: str = "") -> str:
    """An application's manifests, with further values; helm must be on PATH."""
    (branch / file_of(entry.application)).write_text(text(entry) + extra)
    return template(entry, branch, entry.environment)


def manifests(branch: Path) -> dict[str, str]:
    """Every render: each application in each environment, and hello in dev with each feature."""
    found = {
        f"{application}.{environment}": rendered(branch, desired(application, environment))
        for application in APPLICATIONS
        for environment in ENVIRONMENTS
    }
    return found | {
        f"hello.dev.{name}": rendered(branch, desired("hello", "dev"), values) for name, values in FEATURES.items()
    }


def golden(branch: Path) -> dict[str, str]:
    """What the golden files hold, by name: whole renders, and of a feature what it changes."""
    every = manifests(branch)
    plain = parsed(every["hello.dev"])
    files = {f"{name}.yaml": text for name, text in every.items() if name.count(".") == 1}
    for name in FEATURES:
        files[f"hello.dev.{name}.diff"] = changes(plain, parsed(every[f"hello.dev.{name}"])) + "\n"
    return files


def main() -> None:
    """Write all of them anew."""
    for application in APPLICATIONS:
        shutil.copyfile(SCHEMA, ROOT / "charts" / application / "values.schema.json")
    os.environ["PATH"] = os.pathsep.join([*map(str, folders(cache_home())), os.environ["PATH"]])
    with tempfile.TemporaryDirectory() as folder:
        new = golden(lay_out(Path(folder)))
    shutil.rmtree(GOLDEN, ignore_errors=True)
    GOLDEN.mkdir()
    for name, content in new.items():
        (GOLDEN / name).write_text(content)


if __name__ == "__main__":
    main()
