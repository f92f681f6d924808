"""The limits of a task in the worker's only process: raised in its main thread by SIGALRM, since nobody may kill that process.

A signal also interrupts what waits in the kernel, but not what computes in C code for long.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

from umbel.errors import TaskCancelled
from umbel.interrupting import Condemned, soft_limit
from umbel.steering import steered_in


class SoloLimit:
    """See the module, and `umbel.worker.runner.Limit`."""

    def __init__(self) -> None:
        self._inside = False
        self._tag = 0
        self._soft = 0.0
        self._sentence: Condemned | None = None
        self._told = False  # the sentence was raised

    def install(self) -> None:
        """Take over SIGALRM; main thread only."""
        signal.signal(signal.SIGALRM, self._handle)

    def bound(self, tag: int) -> None:
        """The user's code of a delivery is about to begin."""
        self._tag = tag
        self._sentence = None
        self._told = False

    def arm(self, seconds: float | None) -> None:
        """See the protocol."""
        self._soft = seconds or 0.0
        self._inside = True
        if seconds:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def disarm(self) -> None:
        """See the protocol."""
        self._inside = False
        if self._soft:
            self._soft = 0.0
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        if self._sentence is not None:
            sentence, self._sentence = self._sentence, None
            raise sentence

    def condemn(self, tag: int, sentence: Condemned) -> None:
        """End a run, if that runs: it then has ended as the sentence says. From another thread."""
        if self._inside and self._tag == tag and self._sentence is None:
            self._sentence = sentence
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._inside:
            return
        error: BaseException | None
        if self._sentence is not None:
            if self._told:
                return
            self._told, error = True, None
        elif self._soft:
            error, self._soft = soft_limit(self._soft), 0.0
        else:
            return
        steered = steered_in(threading.get_ident())
        # A coroutine that waits does so in the event loop, whose own code this must not be raised in.
        if steered is None or not steered.waits or not steered.interrupt(error):
            raise TaskCancelled if error is None else error
