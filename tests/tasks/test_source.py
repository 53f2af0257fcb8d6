from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from symphony.errors import BadInputError
from tasks.git import git
from tasks.source import source

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Delivery


def test_a_source_that_is_missing_or_leads_out_is_refused(delivery: Delivery, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    here = replace(delivery.change(), tree=tmp_path / "tree")
    with pytest.raises(BadInputError, match="'one' has no folder 'apps/one'"), source(here, "one"):
        pass
    (here.tree / "apps").mkdir()
    (here.tree / "apps" / "one").symlink_to("/etc")
    with pytest.raises(BadInputError, match="has no folder"), source(here, "one"):
        pass
    (here.tree / "apps" / "one").unlink()
    (here.tree / "apps" / "one").mkdir()
    with pytest.raises(BadInputError, match="has no 'Dockerfile'"), source(here, "one"):
        pass
    (here.tree / "apps" / "one" / "Dockerfile").write_text("FROM scratch")
    with source(here, "one") as found:
        assert found.folder == here.tree / "apps" / "one"
        assert found.commit == here.commit


def test_a_source_in_another_repository_is_its_own_refs_folder(delivery: Delivery) -> None:
    commit = delivery.commit("services/one/Dockerfile", "FROM scratch\n")
    git("push", "--quiet", "origin", "HEAD:refs/heads/stable", cwd=delivery.copy)
    delivery.commit("services/two/Dockerfile", "FROM scratch\n")
    application = delivery.change().configuration.applications["one"]
    elsewhere = application.model_copy(
        update={"git": f"file://{delivery.remote}", "ref": "stable", "source": "services/one"}
    )
    here = delivery.change()
    configuration = here.configuration.model_copy(update={"applications": {"one": elsewhere}})
    with source(replace(here, configuration=configuration), "one") as found:
        assert (found.folder / "Dockerfile").read_text() == "FROM scratch\n"
        assert not found.folder.is_relative_to(here.tree)
        assert found.commit == commit
        assert found.labels("t")["org.opencontainers.image.revision"] == commit
    assert not found.folder.exists()
    gone = configuration.model_copy(
        update={"applications": {"one": elsewhere.model_copy(update={"ref": "no-such-branch"})}}
    )
    with pytest.raises(BadInputError, match="'no-such-branch'"), source(replace(here, configuration=gone), "one"):
        pass


def test_an_image_says_when_its_commit_was_made_and_where_it_comes_from_without_a_login(delivery: Delivery) -> None:
    delivery.commit("apps/one/Dockerfile", "FROM scratch\n")
    here = delivery.change()
    remote = here.configuration.git.model_copy(update={"remote": "https://robot:secret@git.example/platform.git"})
    with source(replace(here, configuration=here.configuration.model_copy(update={"git": remote})), "one") as found:
        labels = found.labels("t")
    assert labels["org.opencontainers.image.source"] == "https://git.example/platform.git"
    assert labels["org.opencontainers.image.version"] == "t"
    made = git("show", "--no-patch", "--format=%cd", "--date=format-local:%FT%T+00:00", here.commit, cwd=here.mirror)
    assert labels["org.opencontainers.image.created"] == made
