"""GitHub, as a workflow's step speaks to it: the key of its run, and one comment of a pull request, kept up to date."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from symphony.errors import BadInputError, SymphonyError
from symphony.outside import read_json

COMMENT_SIZE = 65_536
"""What GitHub takes in a comment, in characters; a text has never more of them than bytes."""
_PAGE = 100


def run_key(environ: Mapping[str, str], flow: str, environment: str) -> str:
    """The idempotency key of a run of a workflow: the same for one attempt, another for each.

    Keys are unique a flow in Prefect and not a deployment, so the environment is in it.

    Args:
        environ: Variables as GitHub Actions sets them.
        flow: Name of the flow.
        environment: Name in ``symphony.yaml``.

    Returns:
        The key; empty outside GitHub Actions.
    """
    names = ("GITHUB_REPOSITORY", "GITHUB_SHA", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB")
    if environ.get("GITHUB_ACTIONS") != "true" or not all(environ.get(name) for name in names):
        return ""
    return ":".join([environ[names[0]], flow, environment, *(environ[name] for name in names[1:])])


class PullRequest:
    """A pull request of GitHub.

    Args:
        api: Address of GitHub's API.
        repository: Its ``owner/name``.
        number: The pull request's number.
        token: Token that may write to it.
    """

    def __init__(self, api: str, repository: str, number: int, token: str) -> None:
        """Prepare the connection; nothing is asked yet."""
        self._place = f"/repos/{repository}/issues"
        self._number = number
        self._http = httpx.Client(
            base_url=api.rstrip("/"),
            headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"},
            timeout=30,
            # A connection that was never made is tried again; a comment that may have arrived is not.
            transport=httpx.HTTPTransport(retries=3),
        )

    @classmethod
    def of_workflow(cls, environ: Mapping[str, str]) -> Self:
        """The pull request that a workflow runs for.

        Args:
            environ: Variables as GitHub Actions sets them, and GITHUB_TOKEN.

        Raises:
            BadInputError: It runs for none, or has no token.
        """
        path = environ.get("GITHUB_EVENT_PATH")
        try:
            event = read_json(Path(path).read_bytes()) if path else {}
            number = int((event.get("pull_request") or {}).get("number") or 0)
        except (AttributeError, OSError, TypeError, ValueError) as error:
            raise BadInputError(f"The event at {path} is none of GitHub's: {error}") from error
        if not number:
            raise BadInputError("There is no pull request to comment on: this is no workflow of a pull_request event.")
        if not environ.get("GITHUB_TOKEN"):
            raise BadInputError("A comment needs GITHUB_TOKEN, a token that may write to pull requests.")
        address = environ.get("GITHUB_API_URL") or "https://api.github.com"
        return cls(address, environ["GITHUB_REPOSITORY"], number, environ["GITHUB_TOKEN"])

    def comment(self, mark: str, text: str) -> str:
        """Write the comment that begins with a mark, or bring it up to date where it is there.

        Args:
            mark: First line, an HTML comment; tells this comment from others.
            text: The rest, Markdown.

        Returns:
            Address of the comment.

        Raises:
            SymphonyError: GitHub refuses, or cannot be reached.
        """
        body = {"body": f"{mark}\n{text}"}
        for one in self._comments():
            # What a person wrote is never ours, whatever it begins with: they could change it afterwards.
            if one["body"].startswith(mark) and one["user"]["type"] == "Bot":
                return str(self._call("PATCH", f"/comments/{one['id']}", body)["html_url"])
        return str(self._call("POST", f"/{self._number}/comments", body)["html_url"])

    def _comments(self) -> Iterator[dict[str, Any]]:
        for page in itertools.count(1):
            found = self._call("GET", f"/{self._number}/comments?per_page={_PAGE}&page={page}")
            yield from found
            if len(found) < _PAGE:
                return

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            answer = self._http.request(method, f"{self._place}{path}", json=body)
        except httpx.HTTPError as error:
            raise SymphonyError(f"GitHub's API at {self._http.base_url} does not answer: {error}.") from error
        if not answer.is_success:
            raise SymphonyError(
                f"GitHub refuses {method} {answer.request.url.path} with status {answer.status_code}: "
                f"{answer.text[:200]} The job needs `permissions: pull-requests: write`."
            )
        return answer.json()
