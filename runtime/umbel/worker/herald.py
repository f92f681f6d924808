"""Tells of the worker as a whole: to the receivers of its signals."""

from __future__ import annotations

import signal
from typing import Protocol

from umbel.worker.steward import Steward


class Worker(Protocol):
    """What is asked of the supervisor."""

    def ready(self) -> str | None: ...


class Herald:
    """See the module. For the supervisor's main thread, unless said otherwise.

    Args:
        worker: the supervisor.
        steward: calls the receivers of signals.
    """

    def __init__(self, worker: Worker, steward: Steward) -> None:
        self._worker = worker
        self._steward = steward
        self._ready = False

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

    def ending(self, number: int, *, cold: bool) -> None:
        """The worker was asked to end, by a signal."""
        how = "Cold" if cold else "Warm"
        self._steward.tell("worker_shutting_down", sig=signal.Signals(number).name, how=how, exitcode=0)

    def beaten(self) -> None:
        """A heartbeat has reached the broker; called by the pulse."""
        self._steward.tell("heartbeat_sent")

    def killed(self, payload: bytes, why: str) -> None:
        """A task was ended with its process; called by the pulse.

        Args:
            payload: its message.
            why: see `umbel.worker.seat.Sentence`.
        """
        if why == "revoked":
            self._steward.terminated(payload, int(signal.SIGKILL))

    def stop(self) -> None:
        """All tasks have ended."""
        self._steward.stop()
