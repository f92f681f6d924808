"""What one child has done, counted where it runs: how its tasks ended and how long they took.

Nothing is sent per task. The counts go to the supervisor with a cycle, twice a second at the most, and when it asks. They are
totals since the child began, so that a packet may be lost or come late: the next one tells all.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Container
from typing import Any, Final

from umbel.meters import RUNTIME_BOUNDS
from umbel.worker.link import Link

#: Seconds between two reports.
TICK: Final = 0.5
#: Tasks that are counted by name; what comes after them is counted together.
MOST_TASKS: Final = 1000
#: Tasks in one packet.
PACKET_TASKS: Final = 200
UNKNOWN: Final = "(unknown)"
OTHERS: Final = "(others)"


class Row:
    """The counts of one task; ``buckets`` are not cumulative, and one longer than their bounds."""

    __slots__ = ("buckets", "dirty", "seconds", "states")

    def __init__(self) -> None:
        self.states: dict[str, int] = {}
        self.buckets = [0] * (len(RUNTIME_BOUNDS) + 1)
        self.seconds = 0.0
        self.dirty = True


class Figures:
    """See the module. Thread-safe.

    Args:
        link: to the supervisor.
        known: the names of the app's tasks: no other name makes a label.
    """

    def __init__(self, link: Link, known: Container[str]) -> None:
        self._link = link
        self._known = known
        self.lost: Callable[[], int] = lambda: 0  #: events that could not be written
        self._rows: dict[str, Row] = {}
        self._lock = threading.Lock()
        self._news = False
        self._sent = self._cycled = time.monotonic()

    def ended(self, task: str, state: str, seconds: float) -> None:
        """Count the end of a delivery.

        Args:
            task: name.
            state: the end.
            seconds: that it ran, 0 if it did not.
        """
        with self._lock:
            row = self._rows.get(task)
            if row is None:
                row = self._new(task)
            row.states[state] = row.states.get(state, 0) + 1
            if seconds:
                row.buckets[bisect_left(RUNTIME_BOUNDS, seconds)] += 1
                row.seconds += seconds
            row.dirty = self._news = True

    def _new(self, task: str) -> Row:
        name = task if task in self._known else UNKNOWN
        if name not in self._rows and len(self._rows) >= MOST_TASKS:
            name = OTHERS
        return self._rows.setdefault(name, Row())

    def cycled(self, now: float) -> None:
        """Redis has answered; report if that is due.

        Args:
            now: monotonic time.
        """
        self._cycled = now
        if self._news and now - self._sent >= TICK:
            self.send()

    def send(self, asked: int = 0) -> None:
        """Report what has changed. What cannot be sent now is sent the next time.

        Args:
            asked: number of the question that this answers, 0 for none.
        """
        self._sent = time.monotonic()
        with self._lock:
            changed = [(name, row) for name, row in self._rows.items() if row.dirty]
            told = [[name, row.states.copy(), row.buckets.copy(), row.seconds] for name, row in changed]
            for _, row in changed:
                row.dirty = False
            self._news = False
        for start in range(0, len(told) or 1, PACKET_TASKS):
            part: dict[str, Any] = {
                "what": "figures",
                "cycled": self._cycled,
                "lost": self.lost(),
                "tasks": told[start : start + PACKET_TASKS],
                "asked": asked if start + PACKET_TASKS >= len(told) else 0,
            }
            if not self._link.send(part):
                with self._lock:
                    for _, row in changed[start:]:
                        row.dirty = self._news = True
                return
