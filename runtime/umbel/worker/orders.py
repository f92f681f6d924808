"""What a worker is told to do from afar. Whatever changes the worker is done by the supervisor's main loop, between two looks."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterable
from typing import Any, Protocol

from umbel.worker.remote import Arguments, Handler

#: Ids that an answer names, not only counts.
MOST_SHOWN = 10
log = logging.getLogger("umbel.worker")


class Commanded(Protocol):
    """What is asked of the supervisor."""

    def revoke(self, ids: Iterable[str]) -> None: ...
    def terminate(self, ids: list[str]) -> None: ...


class Orders:
    """See the module.

    Args:
        worker: the supervisor.
    """

    def __init__(self, worker: Commanded) -> None:
        self._worker = worker

    def handlers(self) -> dict[str, Handler]:
        """Return what carries out each command, by Celery's names of them."""
        return {"revoke": self._revoke, "terminate": self._terminate, "shutdown": self._shutdown}

    def _revoke(self, arguments: Arguments) -> dict[str, Any]:
        ids = ids_of(arguments)
        self._worker.revoke(ids)
        shown = f"tasks {', '.join(ids)}" if len(ids) <= MOST_SHOWN else f"{len(ids)} tasks"
        if not arguments.get("terminate"):
            return {"ok": f"{shown} flagged as revoked"}
        self._worker.terminate(ids)
        return {"ok": f"{shown} flagged as revoked; those that run here are terminated"}

    def _terminate(self, arguments: Arguments) -> dict[str, Any]:
        return self._revoke({**arguments, "terminate": True})

    def _shutdown(self, arguments: Arguments) -> dict[str, Any]:
        log.warning("worker.shutdown_requested")
        os.kill(os.getpid(), signal.SIGTERM)
        return {"ok": "shutting down"}


def ids_of(arguments: Arguments) -> list[str]:
    """Return the task ids that a command names: one, or a list."""
    given = arguments.get("task_id") or ()
    return [given] if isinstance(given, str) else [str(one) for one in given]
