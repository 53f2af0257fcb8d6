"""Prefect's UI as somebody new to it walks through it, in a real browser; `make pictures` keeps what they see."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from sandbox.prefect.environment import login
from sandbox.world import World
from tests.world.operations import Operator
from tests.world.seat import NUMBERS, until

_SECONDS = 60
_PICTURES = os.environ.get("SYMPHONY_PICTURES")
"""Folder to keep pictures in; none are kept without it."""


@dataclass
class Visitor:
    """Somebody before the UI."""

    page: Page
    url: str

    def look(self, name: str) -> None:
        """Keep a picture of what they see."""
        if _PICTURES:
            self.page.screenshot(path=Path(_PICTURES) / f"{name}.png", animations="disabled")

    def log_in(self, auth: str) -> None:
        """Fill in what the login page asks for."""
        self.page.get_by_placeholder("admin:pass").fill(auth)
        self.page.get_by_role("button", name="Login").click()

    def open_form(self, flow: str, environment: str) -> None:
        """From the list of deployments to the form that starts a run."""
        page = self.page
        page.get_by_role("button", name="Deployments").click()
        page.get_by_role("searchbox", name="Search deployments").fill(flow)
        page.get_by_role("row", name=f"{environment} {flow}").get_by_role("link", name=environment, exact=True).click()
        page.get_by_role("button", name="Run", exact=True).click()
        page.get_by_text("Custom run").click()
        expect(page.get_by_role("heading", name="Parameters")).to_be_visible()

    def field(self, title: str) -> Locator:
        """A property of a form."""
        label = self.page.locator(".schema-form-property__label").get_by_text(title)
        return self.page.locator(".schema-form-property").filter(has=label)

    def choices(self, title: str, help_: str) -> Locator:
        """What a property's drop-down offers, opened; its help stands beside it."""
        field = self.field(title)
        expect(field).to_contain_text(help_)
        field.locator(".p-select-button__control").focus()
        self.page.keyboard.press("ArrowDown")
        return self.page.locator(".p-select-option")

    def start(self) -> None:
        """Send the form off, and open the page of the run."""
        with self.page.expect_response(re.compile("/create_flow_run$")) as answer:
            self.page.get_by_role("button", name="Submit").click()
        # The message that offers it is gone after some seconds.
        self.page.goto(f"{self.url}/runs/flow-run/{answer.value.json()['id']}")

    def ended(self, state: str) -> None:
        """Wait on a run's page until it tells that the run has ended."""
        expect(self.page.get_by_role("banner").get_by_text(state)).to_be_visible()

    def tab(self, name: str) -> None:
        """Open a tab of a run's page."""
        self.page.get_by_role("tablist").get_by_text(name, exact=True).click()


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    program = shutil.which("chromium")
    assert program, "chromium is not installed; `./setup.sh --browser` installs it"
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not start for root.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(_SECONDS * 1000)
        expect.set_options(timeout=_SECONDS * 1000)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def visitor(browser_page: Page, world: World) -> Visitor:
    """An approver, after a first try with a wrong credential."""
    visitor = Visitor(browser_page, world.prefect_url)
    browser_page.goto(visitor.url)
    visitor.log_in("approver:wrong")
    expect(browser_page.get_by_text("Authentication failed.").first).to_be_visible()
    visitor.log_in(login(world, "approver"))
    expect(browser_page.get_by_text("Flow Runs").first).to_be_visible()
    # What told that the first try failed goes.
    browser_page.reload()
    return visitor


@pytest.fixture(scope="module")
def operator(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Dev as main has it, and with nothing held in the end."""
    operator = Operator.take(world, tmp_path_factory.mktemp("ui"))
    yield operator
    operator.symphony("lift", "hello", "--env", "dev")
    ended = operator.start("release", commit="main")
    assert ended.succeeded, ended.message


def test_a_release_is_started_from_the_form_and_tells_its_story(visitor: Visitor, operator: Operator) -> None:
    greeting = f"Hello, number {next(NUMBERS)}"
    ended = operator.released(operator.say(greeting))
    assert ended.succeeded, ended.message
    visitor.open_form("release", "dev")
    expect(visitor.field("commit")).to_contain_text("Branch, tag or commit id to release.")
    expect(visitor.choices("environment", "Environment of symphony.yaml to release to.")).to_have_text(["dev"])
    visitor.page.keyboard.press("Escape")
    visitor.look("release-form")
    visitor.start()
    visitor.ended("Completed")
    expect(visitor.page.locator("canvas").first).to_be_visible()
    visitor.page.goto(operator.api.link(ended.id))
    visitor.ended("Completed")
    visitor.look("release-run")
    visitor.tab("Artifacts")
    visitor.page.get_by_text("release-dev").first.click()
    expect(visitor.page.get_by_role("table").first).to_be_visible()
    expect(visitor.page.get_by_text("hello.dev.localhost").first).to_be_visible()
    visitor.look("release-story")


def test_an_approval_is_answered_and_a_failed_run_tells_its_reason(visitor: Visitor, operator: Operator) -> None:
    def edit(copy: Path) -> None:
        with (copy / "charts/hello/values.prod.yaml").open("a") as file:
            file.write("terminationGracePeriodSeconds: 24\n")

    operator.branch(edit)
    asked = {"commit": operator.git("rev-parse", "HEAD"), "applications": ["hello"]}
    waiting = operator.api.start("deploy", "prod", asked)
    assert operator.asked(waiting)
    page = visitor.page
    page.goto(operator.api.link(waiting.id))
    page.get_by_role("button", name="Resume").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Nothing is changed before your answer")).to_be_visible()
    visitor.field("Approver").locator("textarea, input").fill("Grace")
    visitor.field("Decision").get_by_role("button").last.focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_text("refuse", exact=True).last).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    visitor.field("Reason").locator("textarea, input").fill("Not on a Friday.")
    visitor.look("approval")
    dialog.get_by_role("button", name="Submit").click()
    operator.ended(waiting)
    # The page of a run that has ended does not look for what is left after that.
    until(lambda: operator.api.artifact(waiting.id, "failure-prod"), "the reason")
    # Three clicks from where one comes in, and no scrolling. The login's name counts, whatever they wrote.
    page.goto(visitor.url)
    page.get_by_role("button", name="Runs", exact=True).click()
    page.get_by_role("link", name=f"deploy hello → prod @ {asked['commit'][:7]}").first.click()
    visitor.tab("Artifacts")
    reason = page.get_by_text("approver refused the deploy to prod: Not on a Friday. Nothing that runs was changed.")
    expect(reason).to_be_in_viewport()
    visitor.look("failed-run")


def test_a_rollback_is_started_from_the_form(visitor: Visitor, operator: Operator) -> None:
    visitor.open_form("rollback", "dev")
    visitor.field("why").locator("textarea, input").fill("It is too loud.")
    offered = visitor.choices("applications", "Applications that go back; all by default.")
    expect(offered).to_have_text(["hello", "greet"])
    offered.first.click()
    visitor.look("rollback-form")
    visitor.page.keyboard.press("Escape")
    visitor.start()
    visitor.ended("Completed")
    visitor.look("rollback-run")
    (last, *_) = json.loads(operator.symphony("history", "--env", "dev", "--app", "hello", "--json"))
    assert (last["kind"], last["why"]) == ("rollback", "It is too loud.")
