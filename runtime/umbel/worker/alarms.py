"""Calls at given moments, for the limits of many tasks: one heap, watched by one thread."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

#: So many alarms that are off are swept out of the heap, if they are more than those that are on.
_SWEEP = 1000


class Alarm:
    """One call to come."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call: Callable[[], None] | None = call


class Alarms:
    """See the module. `run` is the watching thread."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        self._count = itertools.count()
        self._off = 0
        self._changed = threading.Condition()
        self._stopped = False

    def at(self, when: float, call: Callable[[], None]) -> Alarm:
        """Have ``call`` called once ``time.monotonic()`` is past ``when``."""
        alarm = Alarm(when, call)
        with self._changed:
            first = not self._heap or when < self._heap[0][0]
            heapq.heappush(self._heap, (when, next(self._count), alarm))
            if first:
                self._changed.notify()
        return alarm

    def off(self, alarm: Alarm) -> None:
        """Do not call any more; a call that has begun goes on."""
        with self._changed:
            if alarm.call is None:
                return
            alarm.call = None
            self._off += 1
            if self._off > _SWEEP and self._off * 2 > len(self._heap):
                self._heap = [entry for entry in self._heap if entry[2].call is not None]
                heapq.heapify(self._heap)
                self._off = 0

    def run(self) -> None:
        """Watch until `stop`."""
        while True:
            with self._changed:
                while not self._stopped and (not self._heap or self._heap[0][0] > time.monotonic()):
                    self._changed.wait(self._heap[0][0] - time.monotonic() if self._heap else None)
                if self._stopped:
                    return
                alarm = heapq.heappop(self._heap)[2]
                call, alarm.call = alarm.call, None
                if call is None:
                    self._off -= 1
            if call is not None:
                call()

    def stop(self) -> None:
        """Have `run` return."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
