"""What a worker is told to do from afar. Whatever changes the worker is done by the supervisor's main loop, between two looks."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from umbel.control.signals import number_of
from umbel.control.vanished import PODS_GONE
from umbel.errors import ImproperlyConfigured
from umbel.ids import machine_id
from umbel.pace import rate_interval
from umbel.worker.about import About
from umbel.worker.remote import Arguments, Handler
from umbel.worker.staff import Staff

T = TypeVar("T")

#: Ids that an answer names, not only counts.
MOST_SHOWN = 10
log = logging.getLogger("umbel.worker")


class Commanded(Protocol):
    """What is asked of the supervisor."""

    def revoke(self, ids: Iterable[str]) -> None: ...
    def terminate(self, ids: Iterable[str], number: int | None = None) -> None: ...
    def forsake(self) -> None: ...
    def do(self, step: Callable[[], T]) -> T: ...


class Orders:
    """See the module.

    Args:
        worker: the supervisor.
        staff: what of it can be changed.
        about: what the app is.
    """

    def __init__(self, worker: Commanded, staff: Staff, about: About) -> None:
        self._worker = worker
        self._staff = staff
        self._about = about

    def handlers(self) -> dict[str, Handler]:
        """Return what carries out each command, by Celery's names of them."""
        return {
            "revoke": self._revoke,
            "terminate": self._terminate,
            "time_limit": self._time_limit,
            "rate_limit": self._rate_limit,
            "add_consumer": self._add_consumer,
            "cancel_consumer": self._cancel_consumer,
            "pool_grow": self._pool_grow,
            "pool_shrink": self._pool_shrink,
            "enable_events": lambda arguments: self._events(True),
            "disable_events": lambda arguments: self._events(False),
            "shutdown": self._shutdown,
            PODS_GONE: self._pods_gone,
        }

    def _revoke(self, arguments: Arguments) -> dict[str, Any]:
        ids = ids_of(arguments)
        number = number_of(arguments.get("signal"))
        self._worker.revoke(ids)
        shown = f"tasks {', '.join(ids)}" if len(ids) <= MOST_SHOWN else f"{len(ids)} tasks"
        if not arguments.get("terminate"):
            return {"ok": f"{shown} flagged as revoked"}
        self._worker.terminate(ids, number)
        return {"ok": f"{shown} flagged as revoked; those that run here are terminated"}

    def _terminate(self, arguments: Arguments) -> dict[str, Any]:
        return self._revoke({**arguments, "terminate": True})

    def _stranger(self, task: str) -> dict[str, Any] | None:
        known = self._about.read().get("tasks", {})
        if known and task not in known:
            return {"error": f"this worker knows no task {task!r}: umbel inspect registered lists those that it knows"}
        return None

    def _rate_limit(self, arguments: Arguments) -> dict[str, Any]:
        task, rate = str(arguments["task_name"]), arguments.get("rate_limit")
        if rate not in (None, 0, "0"):
            rate_interval(rate)  # refuses what is no rate
        stranger = self._stranger(task)
        if stranger is not None:
            return stranger
        self._worker.do(lambda: self._staff.rate(task, rate))
        if rate is None:
            return {"ok": f"{task} has its own rate limit again"}
        return {"ok": "new rate limit set successfully" if rate not in (0, "0") else "rate limit disabled successfully"}

    def _time_limit(self, arguments: Arguments) -> dict[str, Any]:
        task = str(arguments["task_name"])
        stranger = self._stranger(task)
        if stranger is not None:
            return stranger
        soft, hard = seconds_of(arguments, "soft"), seconds_of(arguments, "hard")
        self._worker.do(lambda: self._staff.limit(task, soft, hard))
        if soft is None and hard is None:
            return {"ok": f"{task} has its own time limits again"}
        return {"ok": f"time limits of {task}: soft {_shown(soft)}, hard {_shown(hard)}"}

    def _add_consumer(self, arguments: Arguments) -> dict[str, Any]:
        queue = queue_of(arguments)
        weight = int(arguments.get("weight") or 1)
        if weight < 1:
            return {"error": f"weight={weight}: a weight is a whole number from 1 on"}
        added = self._worker.do(lambda: self._staff.consume(queue, weight))
        return {"ok": f"consuming {queue}" if added else f"already consuming {queue}"}

    def _cancel_consumer(self, arguments: Arguments) -> dict[str, Any]:
        queue = queue_of(arguments)
        cancelled = self._worker.do(lambda: self._staff.cancel(queue))
        return {"ok": f"no longer consuming {queue}" if cancelled else f"not consuming {queue}"}

    def _pool_grow(self, arguments: Arguments) -> dict[str, Any]:
        count = count_of(arguments)
        self._worker.do(lambda: self._staff.grow(count))
        return {"ok": f"{count} process{'es' if count != 1 else ''} more"}

    def _pool_shrink(self, arguments: Arguments) -> dict[str, Any]:
        count = count_of(arguments)
        self._worker.do(lambda: self._staff.shrink(count))
        return {"ok": f"{count} process{'es' if count != 1 else ''} less"}

    def _events(self, on: bool) -> dict[str, Any]:
        changed = self._worker.do(lambda: self._staff.tell_events(on))
        word = "enabled" if on else "disabled"
        return {"ok": f"task events {word}" if changed else f"task events already {word}"}

    def _shutdown(self, arguments: Arguments) -> dict[str, Any]:
        log.warning("worker.shutdown_requested")
        os.kill(os.getpid(), signal.SIGTERM)
        return {"ok": "shutting down"}

    def _pods_gone(self, arguments: Arguments) -> dict[str, Any]:
        if machine_id() not in arguments["pods"]:
            return {"ok": "not this one"}
        self._worker.forsake()
        return {"ok": "what runs goes back as soon as the worker is told to end"}


def ids_of(arguments: Arguments) -> list[str]:
    """Return the task ids that a command names: one, or a list."""
    given = arguments.get("task_id") or ()
    return [given] if isinstance(given, str) else [str(one) for one in given]


def seconds_of(arguments: Arguments, name: str) -> float | None:
    """Return a limit in seconds, None for none.

    Raises:
        ImproperlyConfigured: it is not above 0.
    """
    given = arguments.get(name)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not given > 0:
        raise ImproperlyConfigured(f"{name}={given!r}: a time limit is seconds above 0")
    return float(given)


def count_of(arguments: Arguments) -> int:
    """Return how many processes are meant.

    Raises:
        ImproperlyConfigured: not a whole number from 1 on.
    """
    given = arguments.get("n", 1)
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ImproperlyConfigured(f"n={given!r}: how many processes is a whole number from 1 on")
    return given


def queue_of(arguments: Arguments) -> str:
    """Return the name of the queue that is meant.

    Raises:
        ImproperlyConfigured: it cannot be the name of a queue.
    """
    queue = arguments.get("queue")
    if not isinstance(queue, str) or not queue or "{" in queue or "}" in queue:
        raise ImproperlyConfigured(f"queue={queue!r}: name a queue, without braces")
    return queue


def _shown(seconds: float | None) -> str:
    return "none" if seconds is None else f"{seconds:g} s"
