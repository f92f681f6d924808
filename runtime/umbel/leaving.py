"""How code of the app has its worker end: by raising `WorkerShutdown` or `WorkerTerminate`, of `umbel.exceptions`.

A process of a worker says where that goes (`pass_on_to`); in any other process they are what their class says: `SystemExit`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from umbel.exceptions import WorkerShutdown, WorkerTerminate

log = logging.getLogger("umbel.worker")


@dataclass(frozen=True, slots=True)
class Leaving:
    """That a worker is to end.

    Args:
        cold: what runs goes back at once; else it may end, for as long as a drain may take.
        code: the worker's exit code.
        why: for the log.
    """

    cold: bool
    code: int
    why: str

    def as_message(self) -> dict[str, Any]:
        """Return this as the supervisor is told."""
        return {"what": "leave", "cold": self.cold, "code": self.code, "why": self.why}

    @staticmethod
    def of_message(message: Mapping[str, Any]) -> Leaving:
        """Return what `as_message` told."""
        return Leaving(message["cold"], message["code"], message["why"])


def leaving_of(error: BaseException | None) -> Leaving | None:
    """Return what an exception asks of the worker, None for any other exception."""
    if not isinstance(error, (WorkerShutdown, WorkerTerminate)):
        return None
    code = error.code
    number = 0 if code is None else code if isinstance(code, int) else 1
    return Leaving(isinstance(error, WorkerTerminate), number, repr(error))


_passed_on: list[Callable[[Leaving], object]] = []


def pass_on_to(hear: Callable[[Leaving], object]) -> None:
    """Have this process's supervisor told, by a function that any thread may call."""
    _passed_on[:] = [hear]


def ask(error: BaseException) -> bool:
    """Pass on what an exception asks of the worker; False if it asks nothing, or this process belongs to no worker."""
    asked = leaving_of(error)
    if asked is None or not _passed_on:
        return False
    _passed_on[0](asked)
    return True
