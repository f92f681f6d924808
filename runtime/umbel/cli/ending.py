"""Waits for the signal that ends this process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable


class Ending:
    """Takes signals from when it is made on, one of it in a process; made and waited for in the main thread.

    A handler runs in the main thread, between two steps of what that does. If it sets a `threading.Event` while the thread is
    about to wait for that, it waits for a lock of its own thread; and a signal that comes just before the thread falls asleep
    wakes nobody. So the interpreter is told to write each signal into a pipe, at the moment in which it comes.

    Args:
        numbers: of the signals.
    """

    def __init__(self, numbers: Iterable[int] = (signal.SIGTERM, signal.SIGINT)) -> None:
        self._numbers = frozenset(numbers)
        self._heard, heard = os.pipe()
        os.set_blocking(heard, False)
        signal.set_wakeup_fd(heard, warn_on_full_buffer=False)
        for number in self._numbers:
            signal.signal(number, lambda *_: None)

    def wait(self) -> int:
        """Wait for one of the signals, and return its number."""
        while (number := os.read(self._heard, 1)[0]) not in self._numbers:
            pass
        return number
