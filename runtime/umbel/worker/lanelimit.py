"""The limits of one slot among several in a child: what interrupts a thread, or an asyncio task, and leaves the others alone.

A thread is interrupted by an exception that CPython raises at its next step in Python code: what blocks in C code is not reached.
The exception may come late, when the task has ended. So it is asked for only while the flag says that the user's code runs, and
taken back, under the same lock, when that has ended.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable

from umbel.awaiting import Steered
from umbel.errors import SoftTimeLimitExceeded, TaskCancelled, TimeLimitExceeded
from umbel.interrupting import Condemned, soft_limit
from umbel.states import FAILURE
from umbel.steering import steered_in
from umbel.worker.alarms import Alarm, Alarms


class LaneLimit:
    """See the module.

    Args:
        alarms: that tell when a limit is over.
    """

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._lock = threading.Lock()
        self._inside = False
        self._tag = 0  # of the delivery that runs
        self._thread = 0
        self._interrupted = False  # the thread was asked to raise something
        self._sentence: Condemned | None = None
        self._set: list[Alarm] = []
        self.steered: Steered | None = None  #: the coroutine that runs in this slot, in a loop that runs others too

    def bound(self, tag: int, seconds: float | None) -> None:
        """The user's code of a delivery is about to begin, with so many seconds until its hard limit."""
        self._tag = tag
        self._sentence = None
        self._interrupted = False
        self._thread = threading.get_ident()
        if seconds:
            error = TimeLimitExceeded(f"the time limit of {seconds:g} s is over: the task was cancelled")
            sentence = Condemned(error, FAILURE)
            self._set.append(self._alarms.at(time.monotonic() + seconds, lambda: self.condemn(tag, sentence)))

    def arm(self, seconds: float | None) -> None:
        """See `umbel.worker.runner.Limit`."""
        tag = self._tag
        if seconds:
            self._set.append(self._alarms.at(time.monotonic() + seconds, lambda: self._soft(tag, seconds)))
        self._inside = True

    def disarm(self) -> None:
        """See `umbel.worker.runner.Limit`."""
        while True:
            try:
                self._close()
                break
            except (SoftTimeLimitExceeded, TaskCancelled):
                continue  # it came when the task had ended
        if self._sentence is not None:
            raise self._sentence

    def condemn(self, tag: int, sentence: Condemned) -> None:
        """End a run, if that runs: it then has ended as the sentence says. From any thread."""
        with self._lock:
            if self._inside and self._tag == tag and self._sentence is None:
                self._sentence = sentence
                self._interrupt(None, lambda: TaskCancelled)

    def _close(self) -> None:
        with self._lock:
            self._inside = False
            if self._interrupted:
                _raise_in(self._thread, None)
                self._interrupted = False
            while self._set:
                self._alarms.off(self._set.pop())

    def _soft(self, tag: int, seconds: float) -> None:
        with self._lock:
            if self._inside and self._tag == tag and self._sentence is None:
                self._interrupt(soft_limit(seconds), lambda: _with_text(seconds))

    def _interrupt(self, error: BaseException | None, in_thread: Callable[[], type[BaseException]]) -> None:
        """Interrupt whatever runs here: a coroutine by ``error`` (None cancels it), else the thread; with the lock held."""
        steered = self.steered or steered_in(self._thread)
        if steered is not None and steered.interrupt(error):
            return
        if self.steered is not None:  # it is about to begin, in a thread that runs others too
            self._set.append(self._alarms.at(time.monotonic() + 0.01, lambda: self._again(error)))
            return
        self._interrupted = True
        _raise_in(self._thread, in_thread())

    def _again(self, error: BaseException | None) -> None:
        with self._lock:
            if self._inside and self.steered is not None:
                self.steered.interrupt(error)


def _with_text(seconds: float) -> type[BaseException]:
    """Return SoftTimeLimitExceeded as a class that needs no arguments: a thread can be made to raise a class only."""

    def init(self: BaseException) -> None:
        SoftTimeLimitExceeded.__init__(self, *soft_limit(seconds).args)

    names = {"__init__": init, "__module__": SoftTimeLimitExceeded.__module__}
    return type(SoftTimeLimitExceeded.__name__, (SoftTimeLimitExceeded,), names)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have a thread raise at its next step; None takes back what it has not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error)
    )
