"""The exit codes of the command line, and how an error is told: one sentence on stderr, no traceback."""

from __future__ import annotations

import sys
from typing import Final

import click

from umbel.broker.base import ConnectionLost
from umbel.errors import ImproperlyConfigured, OperationalError, UmbelError

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
PENDING: Final = 3
UNAVAILABLE: Final = 69
INTERRUPTED: Final = 130

MEANINGS: Final = {
    "OK": "done; for a worker, ended as it was told to",
    "FAILED": "what was asked for did not work out: a task failed, a name is unknown",
    "USAGE": "wrong usage or configuration: an option, a module that does not import, a setting that does not fit",
    "PENDING": "`result`: the task has not ended",
    "UNAVAILABLE": "the broker cannot be reached, or no worker answered",
    "INTERRUPTED": "Ctrl-C",
}
HELP: Final = (
    "Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 3 not finished yet (result); "
    "69 broker unreachable or no worker there; 130 interrupted."
)


class Fail(click.ClickException):
    """End the command with a sentence and an exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]

    def show(self, file: object = None) -> None:
        """Print the sentence."""
        click.echo(f"Error: {self.message}", file=sys.stderr)


def as_failure(error: Exception) -> Fail | None:
    """Return how an error of ours ends the command, None for one that is not ours (a bug, which shows its traceback)."""
    if isinstance(error, (OperationalError, ConnectionLost)):
        return Fail(str(error), UNAVAILABLE)
    if isinstance(error, (ImproperlyConfigured, TypeError, ValueError)) and isinstance(error, UmbelError):
        return Fail(str(error), USAGE)
    if isinstance(error, UmbelError):
        return Fail(str(error))
    return None
