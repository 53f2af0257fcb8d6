"""Errors that people read: what failed, on what, why, and what to do next."""

import re

_INTRODUCTION = re.compile(r"^Flow run encountered an exception: (\w+: )?")


def sentence(message: str) -> str:
    """What a failed run's state says, without Prefect's own introduction to an exception."""
    return _INTRODUCTION.sub("", message)


class SymphonyError(Exception):
    """A failure told in one sentence a tired operator understands.

    The message is the whole report: the command line prints it without a traceback, and a flow run ends with it.
    """


class BadInputError(SymphonyError):
    """What was asked for cannot be done as asked; nothing has been changed."""


class TransientError(SymphonyError):
    """What failed can pass by itself (throttling, a reset connection, a busy lock, a 5xx), so a task may retry it."""


class StalePlanError(SymphonyError):
    """A saved plan was not applied, since the state has moved after it; nothing has been changed by it."""


class SupersededError(SymphonyError):
    """The environment has a newer commit already, and an older one never overtakes it; nothing has been changed.

    Attributes:
        newer: Full id of the commit that is there.
    """

    def __init__(self, message: str, newer: str) -> None:
        """Keep which commit was faster."""
        self.newer = newer
        super().__init__(message)


class HeldError(SymphonyError):
    """All applications that would move are held where they are; nothing has been changed."""


class DeployError(SymphonyError):
    """An application did not become healthy; the sentence says which, why, and what was put back."""


class SmokeError(SymphonyError):
    """A URL did not answer as it should; the sentence names each that failed."""


class ToolError(SymphonyError):
    """An external tool ended with an exit code that means failure.

    Attributes:
        tool: The program's name.
        code: Its exit code; negative means ended by that signal.
        output: The last lines it wrote, secrets masked.
    """

    def __init__(self, tool: str, code: int, output: str, why: str = "") -> None:
        """Keep what a caller needs to tell failures apart; ``why`` replaces the tool's own last lines."""
        self.tool = tool
        self.code = code
        self.output = output
        super().__init__(why or f"{tool} ended with exit code {code}: {output.strip() or 'it wrote nothing'}")
