"""Wake markers in memory: one for each queue that may have work, popped by whoever waits for it.

Waiting is for at most some seconds of real time, so one thread of the process watches the deadlines.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

#: How long the thread of the deadlines stays when there is none left, in seconds.
_IDLE: Final = 5.0


class Waiter(Protocol):
    """Something that is told once: by the bell of a queue, or by None that its time is over."""

    def tell(self, queue: str | None) -> None: ...


class Bells:
    """The bells of one store. Nothing here locks: whoever calls holds the lock of the store."""

    def __init__(self) -> None:
        self._rung: set[str] = set()
        self._waiting: dict[Waiter, tuple[str, ...]] = {}

    def ring(self, queue: str) -> None:
        """Wake the one who has waited longest for this queue; without one, the bell stays rung."""
        for waiter, queues in self._waiting.items():
            if queue in queues:
                del self._waiting[waiter]
                waiter.tell(queue)
                return
        self._rung.add(queue)

    def wait(self, waiter: Waiter, queues: Sequence[str]) -> None:
        """Tell the waiter of the first of the queues whose bell is rung, now or later."""
        for queue in queues:
            if queue in self._rung:
                self._rung.remove(queue)
                waiter.tell(queue)
                return
        self._waiting[waiter] = tuple(queues)

    def give_up(self, waiter: Waiter) -> bool:
        """Stop waiting; False if the waiter did not wait (any more)."""
        return self._waiting.pop(waiter, None) is not None


class Deadlines:
    """Calls functions at their time, from a thread that lives while there is something to call."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    def call_in(self, seconds: float, function: Callable[[], None]) -> None:
        """Call a function, which must be quick and raise nothing, after so many seconds."""
        with self._changed:
            heapq.heappush(self._calls, (time.monotonic() + seconds, next(self._order), function))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="umbel-memory-deadlines", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                wait = self._calls[0][0] - time.monotonic() if self._calls else _IDLE
                if wait > 0:
                    rung = self._changed.wait(wait)
                    if not rung and not self._calls:
                        self._thread = None
                        return
                    continue
                function = heapq.heappop(self._calls)[2]
            function()


DEADLINES: Final = Deadlines()
