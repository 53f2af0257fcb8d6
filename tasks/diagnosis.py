"""What went wrong in Terragrunt or tofu, told in one sentence, and whether it can pass by itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from symphony.errors import StalePlanError, SymphonyError, TransientError

_LENGTH = 1200
_BOX = re.compile(r"^[╷│╵]\s?")
_LOG = re.compile(r"^(ERRO|WARN|INFO)\[\d+\]\s?")
_SNIPPET = re.compile(r"^\s+\d+: ")
_ADVICE = ("Suggested fixes", "error occurred", "errors occurred")
_INIT = ("Error refreshing state: ", "Error loading state: ")
"""How ``tofu init`` begins, other than all else, where it does not get the state from the bucket."""
_AFTER = ("Warning: ", "Releasing state lock.")
"""What ends the telling of an error, other than the next one."""
_BEGUN = re.compile(r": (Creating|Modifying|Destroying)\.\.\.")
_TAKEN = re.compile(r"PreconditionFailed|ConditionalRequestConflict|already locked")
"""What S3, or tofu, says of a lock that is there."""
_LOCK_FIELD = re.compile(r"^\s*(ID|Who|Created|Operation):\s+(.+?)\s*$", re.MULTILINE)
_PASSING = re.compile(
    r"throttl|rate exceeded|requestlimitexceeded|toomanyrequests|slowdown"
    r"|serviceunavailable|internalerror|internalfailure|internalservererror|serverexception"
    r"|status ?code: 5\d\d|unexpected eof|: eof\b|connection (refused|reset)|broken pipe"
    r"|i/o timeout|tls handshake timeout|no such host|temporary failure in name resolution"
    r"|context deadline exceeded|client\.timeout exceeded",
    re.IGNORECASE,
)


def diagnose(doing: str, unit: str, lines: Sequence[str]) -> SymphonyError:
    """The error for a run of Terragrunt that failed.

    Args:
        doing: What it did, such as ``plan``.
        unit: The unit's path.
        lines: Everything it wrote, line by line.

    Returns:
        A `TransientError` for throttling, a busy lock, a network that fails or a 5xx, as long as nothing has been
        changed; a `SymphonyError` for all else. Its sentence holds tofu's own ``Error:`` blocks.
    """
    said = complaint(lines)
    if any(_BEGUN.search(line) for line in lines):
        return SymphonyError(
            f"The {doing} of unit {unit} stopped half-way: {said} What was done before it stays and is in the state; "
            f"correct the cause and start the run again, which plans the rest anew."
        )
    if "Error acquiring the state lock" in said and (held := _lock(lines)):
        return TransientError(f"The {doing} of unit {unit} waits for a lock: {held}")
    if "Saved plan is stale" in said:
        return StalePlanError(
            f"The {doing} of unit {unit} was refused: its state has moved since the plan; start the run again."
        )
    if "Account ID not allowed" in said:
        return SymphonyError(
            f"The {doing} of unit {unit} was refused: {said} The credentials belong to another account than "
            f"account.hcl names; use those of the environment's account."
        )
    if _PASSING.search(said):
        return TransientError(f"The {doing} of unit {unit} did not get through to AWS: {said} Start the run again.")
    return SymphonyError(f"The {doing} of unit {unit} failed: {said} Correct it and push, or start the run again.")


def complaint(lines: Sequence[str]) -> str:
    """The ``Error:`` blocks of tofu as one line, or else what Terragrunt logged as errors; never empty."""
    plain = [text for line in lines if not _SNIPPET.match(text := _BOX.sub("", line.rstrip("\n")))]
    blocks: list[list[str]] = []
    inside = False
    for line in plain:
        if line.startswith(("Error: ", *_INIT)):
            blocks.append([])
            inside, line = True, line.removeprefix("Error: ")  # noqa: PLW2901 - the block's first line without its label
        elif _LOG.match(line) or line.startswith(_AFTER):
            inside = False
        if inside:
            blocks[-1].append(line)
    told = [" ".join(" ".join(block).split()) for block in blocks] or _logged(plain)
    text = " ".join(dict.fromkeys(_sentence(part) for part in told if part))
    if not text:
        text = _sentence(" ".join(" ".join(plain[-5:]).split()) or "it wrote nothing")
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]} …"


def _logged(lines: Sequence[str]) -> list[str]:
    """Terragrunt's own errors: the list it ends with, or its log lines of that level."""
    listed = [line.removeprefix("* ") for line in lines if line.startswith("* ")]
    # A variable is unknown because the dependency has no outputs; the cause alone is told.
    if listed := [line for line in listed if "Unknown variable" not in line] or listed:
        return listed
    errors = [line[level.end() :] for line in lines if (level := _LOG.match(line)) and level[1] == "ERRO"]
    said = [text for text in errors if not _SNIPPET.match(text) and not any(advice in text for advice in _ADVICE)]
    return [text.strip().removeprefix("Error: ") for text in said]


def _sentence(text: str) -> str:
    text = text.strip().rstrip(":")
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _lock(lines: Sequence[str]) -> str:
    """Who holds a lock, from the holder's record that tofu prints; empty where nobody does, and S3 just refused."""
    text = "\n".join(_BOX.sub("", line.rstrip("\n")) for line in lines)
    held = dict(reversed(_LOCK_FIELD.findall(text)))
    if not held.get("ID"):
        told = "the state is locked and the lock does not say by whom. Start the run again later."
        return told if _TAKEN.search(text) else ""
    return (
        f"{held.get('Who', 'somebody')} holds it since {held.get('Created', 'an unknown time')} "
        f"({held.get('Operation', 'unknown operation')}, lock {held['ID']}). Start the run again when that has ended; "
        f"if its process is dead, `symphony unlock` shows the lock and frees it."
    )
