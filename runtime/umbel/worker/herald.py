"""Tells of the worker as a whole: by signals to receivers of the app, by events to monitors."""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from umbel import __version__
from umbel.leaving import Leaving
from umbel.worker.steward import Steward

if TYPE_CHECKING:
    from umbel.events.base import EventLog
    from umbel.events.pen import Pen

#: Seconds between two events of a worker's heartbeat. They stand in the same log as those of tasks, so they are few.
HEARTBEAT = 10.0


class Worker(Protocol):
    """What is asked of the supervisor."""

    def ready(self) -> str | None: ...
    def wants_events(self) -> bool: ...
    def activity(self) -> tuple[int, int]:
        """Return how many tasks run, and how many have ended."""


class Herald:
    """See the module. For the supervisor's main thread, unless said otherwise.

    Args:
        worker: the supervisor.
        steward: calls the receivers of signals.
        hostname: of the worker.
        open_log: opens where events are kept.
    """

    def __init__(self, worker: Worker, steward: Steward, hostname: str, open_log: Callable[[], EventLog]) -> None:
        self._worker = worker
        self._steward = steward
        self._hostname = hostname
        self._open = open_log
        self._ready = False
        self._pen: Pen | None = None
        self._due = 0.0

    def start(self) -> None:
        """The worker begins."""
        self._steward.start()

    def look(self, now: float) -> None:
        """Tell what is due.

        Args:
            now: monotonic time.
        """
        if not self._ready and self._worker.ready() is None:
            self._ready = True
            self._steward.tell("worker_ready")
        if self._worker.wants_events() != (self._pen is not None):
            self._close(0.0) if self._pen is not None else self._begin(now)
        elif self._pen is not None and now >= self._due:
            self._due = now + HEARTBEAT
            self._say("worker-heartbeat")

    def filenos(self) -> list[int]:
        """What to select on, before `hear`."""
        return self._steward.filenos()

    def hear(self) -> Leaving | None:
        """Return what a receiver of a signal has asked of the worker, None for nothing."""
        return self._steward.hear()

    def ending(self, number: int, *, cold: bool, exitcode: int = 0) -> None:
        """The worker was asked to end, by a signal or by code of the app."""
        how = "Cold" if cold else "Warm"
        self._steward.tell("worker_shutting_down", sig=signal.Signals(number).name, how=how, exitcode=exitcode)

    def beaten(self) -> None:
        """A heartbeat has reached the broker; called by the pulse."""
        self._steward.tell("heartbeat_sent")

    def killed(self, payload: bytes, task_id: str, why: str, error: BaseException) -> None:
        """A task was ended with its process, and nobody else tells of it; called by the pulse.

        Args:
            payload: its message.
            task_id: of it.
            why: see `umbel.worker.seat.Sentence`.
            error: that is stored.
        """
        pen = self._pen
        if pen is not None and why == "revoked":
            pen.put("task-revoked", uuid=task_id, terminated=True, signum=int(signal.SIGKILL), expired=False)
        elif pen is not None:
            pen.put("task-failed", uuid=task_id, exception=repr(error), traceback="")
        if why == "revoked":
            self._steward.terminated(payload, int(signal.SIGKILL))

    def stop(self) -> None:
        """All tasks have ended."""
        self._close(2.0)
        self._steward.stop()

    # Events

    def _begin(self, now: float) -> None:
        from umbel.events.pen import Pen

        self._pen = Pen(self._open, self._hostname)
        self._due = now + HEARTBEAT
        self._say("worker-online")

    def _close(self, timeout: float) -> None:
        if self._pen is not None:
            self._say("worker-offline")
            self._pen.close(timeout)
            self._pen = None

    def _say(self, type: str) -> None:
        assert self._pen is not None
        active, processed = self._worker.activity()
        told: dict[str, Any] = {"sw_ident": "umbel", "sw_ver": __version__, "sw_sys": platform.system()}
        told |= {"freq": HEARTBEAT, "active": active, "processed": processed, "timestamp": time.time()}
        self._pen.put(type, loadavg=[round(load, 2) for load in os.getloadavg()], **told)
