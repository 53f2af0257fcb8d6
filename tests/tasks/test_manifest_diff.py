from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tasks import manifest_diff
from tasks.desired import laid_out
from tasks.desired_commit import write_desired
from tasks.helm import template
from tasks.manifest_diff import changes, parsed, show_changes

if TYPE_CHECKING:
    from tests.conftest import Delivery


def secret(**data: str) -> dict[str, dict[str, Any]]:
    return {"Secret one": {"kind": "Secret", "metadata": {"name": "one"}, "data": data}}


def test_the_difference_is_told_object_by_object() -> None:
    old = parsed("kind: ConfigMap\nmetadata: {name: one}\ndata: {a: x}\n---\nkind: Job\nmetadata: {name: gone}\n")
    new = parsed("kind: ConfigMap\nmetadata: {name: one}\ndata: {a: y}\n")
    text = changes(old, new)
    assert "--- ConfigMap one\n+++ ConfigMap one" in text
    assert "-  a: x\n+  a: y" in text
    assert "--- Job gone\n+++ (none)" in text
    assert changes(old, old) == ""


def test_an_object_with_a_new_name_is_compared_with_the_one_whose_place_it_takes() -> None:
    one = "kind: {kind}\nmetadata: {{name: {name}, namespace: dev}}\nspec: {{a: 1, b: {b}}}\n---\n"
    old = parsed(one.format(kind="Deployment", name="a-1", b=1))
    text = changes(old, parsed(one.format(kind="Deployment", name="a-2", b=2)))
    assert "--- Deployment dev/a-1\n+++ Deployment dev/a-2" in text
    assert "-  b: 1\n+  b: 2" in text
    assert "-  a: 1" not in text
    two = "".join(one.format(kind="Deployment", name=name, b=1) for name in ("a-2", "a-3"))
    assert "--- Deployment dev/a-1\n+++ (none)" in changes(old, parsed(two))
    assert "--- Deployment dev/a-1\n+++ (none)" in changes(old, parsed(one.format(kind="Job", name="a-2", b=1)))


def test_a_secret_is_told_by_its_keys_alone() -> None:
    text = changes(secret(a="b2xk", b="c2FtZQ==", c="Z29uZQ=="), secret(a="bmV3", b="c2FtZQ==", d="bW9yZQ=="))
    assert "+  a: (secret, changed)" in text
    assert "-  c: (secret)" in text
    assert "+  d: (secret)" in text
    assert not {value for value in ("b2xk", "bmV3", "c2FtZQ", "Z29uZQ", "bW9yZQ") if value in text}
    assert "c2FtZQ" not in changes({}, secret(b="c2FtZQ=="))


@pytest.mark.usefixtures("tools")
def test_the_page_compares_with_what_the_branch_has(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []
    monkeypatch.setattr(manifest_diff, "markdown", lambda _, text: pages.append(text))
    template_text = "kind: ConfigMap\nmetadata: {name: one}\ndata: {digest: {{ .Values.image.digest }}}\n"
    delivery.commit("charts/one/templates/map.yaml", template_text)
    change = delivery.change()
    before: str | None = None
    for letter in ("a", "b", "b"):
        with laid_out(change, [delivery.image("one", letter)]) as (entries, root):
            show_changes.fn(change, entries, {"one": template(entries[0], root, "dev")}, before)
            before = write_desired.fn(change, entries, root)
    assert "It is new here." in pages[0]
    assert f"-  digest: sha256:{'a' * 64}\n" in pages[1]
    assert f"+  digest: sha256:{'b' * 64}\n" in pages[1]
    assert "stay as they are" in pages[2]
