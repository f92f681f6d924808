"""The soft time limit of a process that runs one task at a time: SIGALRM, raised only inside the user's code.

The alarm may fire at any moment: after the task ended, or while Umbel's own code runs and holds a lock. So the handler
raises only while the flag says that the user's code runs. A task that uses SIGALRM itself cannot have a soft limit.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

from umbel.interrupting import soft_limit
from umbel.steering import steered_in


class SoftLimit:
    """The alarm of one child's main thread."""

    def __init__(self) -> None:
        self._inside = False
        self._seconds = 0.0

    def install(self) -> None:
        """Take over SIGALRM; main thread only."""
        signal.signal(signal.SIGALRM, self._handle)

    def arm(self, seconds: float | None) -> None:
        """Raise SoftTimeLimitExceeded in the user's code, which begins now, when ``seconds`` are over; None for no limit."""
        if seconds:
            self._seconds = seconds
            self._inside = True
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def disarm(self) -> None:
        """The user's code has ended."""
        if self._seconds:
            self._inside = False
            self._seconds = 0.0
            signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._inside:
            self._inside = False
            error = soft_limit(self._seconds)
            steered = steered_in(threading.get_ident())
            # A coroutine that waits does so in the event loop, whose own code this must not be raised in.
            if steered is None or not steered.waits or not steered.interrupt(error):
                raise error
