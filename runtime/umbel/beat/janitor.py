"""What beat does for the queues: bury dead owners, promote delayed tasks, drop old dead letters. With no worker alive nobody else
would."""

from __future__ import annotations

import logging
import queue
from collections.abc import Iterable

from umbel.broker.base import Broker, Liveness
from umbel.clock import Clock
from umbel.control import vanished
from umbel.control.abandoned import OwnQueueJanitor
from umbel.control.reaper import Reaper
from umbel.dropping import LOOK_EVERY as DROPPED_EVERY
from umbel.dropping import look_after

log = logging.getLogger("umbel.beat")

#: Seconds between two looks at one queue, and at the owners, at the most.
LOOK_EVERY = 1.0
#: Seconds between two looks at the owners while pods are known to have vanished.
ALERT_EVERY = 0.25
#: Seconds after which the names of all queues are read again.
NAMES_EVERY = 5.0
#: Seconds for which the ends of tasks are kept that did not run: beat may know no app.
RESULTS_KEPT = 86400.0
#: Seconds between two looks for dead letters that are too old: where none is added, nobody else drops them.
TRIM_EVERY = 60.0


class Janitor:
    """See the module. `look` belongs to one thread, `hint` to any.

    Args:
        broker: whose queues are looked after.
        clock: its monotonic time counts.
        own_queue_grace: seconds after a worker's end until its own queue ends.
    """

    def __init__(self, broker: Broker, clock: Clock, own_queue_grace: float = 300.0) -> None:
        self._broker = broker
        self._clock = clock
        self._liveness: Liveness = broker.liveness()
        self._reaper = Reaper(self._liveness, clock)
        self._own_queues = OwnQueueJanitor(broker, lambda: own_queue_grace, RESULTS_KEPT, clock)
        self._names: list[str] = []
        self._named = float("-inf")
        self._reaped = float("-inf")
        self._looked_after = float("-inf")
        self._next: dict[str, float] = {}
        self._trimmed = float("-inf")
        self._hints: queue.SimpleQueue[tuple[list[str], bool]] = queue.SimpleQueue()
        self._untold: list[str] = []

    def hint(self, pod_uids: Iterable[str], *, deleted: bool = True) -> None:
        """Somebody saw these pods vanish, or their node.

        Args:
            pod_uids: of the pods.
            deleted: whether the pods themselves are gone from the cluster, so that those that live on do so for moments only.
        """
        self._hints.put((list(pod_uids), deleted))

    def look(self) -> float:
        """Look once; return how many seconds to wait.

        Raises:
            OperationalError, ConnectionLost: Redis is away.
        """
        self._take_hints()
        now = self._clock.monotonic()
        if now - self._named >= NAMES_EVERY:
            self._names, self._named = self._broker.queues(), now
            self._next = {name: self._next.get(name, now) for name in self._names}
        for name in self._names:
            if self._next[name] <= now:
                due = self._broker.promote(name)
                self._next[name] = now + (LOOK_EVERY if due is None else min(due, LOOK_EVERY))
        if now - self._trimmed >= TRIM_EVERY:
            self._trimmed = now
            for name in self._names:
                self._broker.trim_dead(name)
        every = ALERT_EVERY if self._reaper.alert else LOOK_EVERY
        if now - self._reaped >= every:
            self._reaped = now
            self._reaper.look()
        if now - self._looked_after >= DROPPED_EVERY:
            self._looked_after = now
            look_after(self._broker, self._names)
        self._own_queues.look()
        soonest = min(self._next.values(), default=now + LOOK_EVERY)
        return max(0.01, min(soonest, self._reaped + every) - self._clock.monotonic())

    def _take_hints(self) -> None:
        """Look at these owners more closely, and tell those that live on."""
        while True:
            try:
                uids, deleted = self._hints.get_nowait()
            except queue.Empty:
                break
            self._reaper.hint(uids)
            self._untold += uids if deleted else ()
        if self._untold:
            vanished.tell(self._broker, self._untold)
            log.info("beat.pods_gone", extra={"pods": len(self._untold)})
            self._untold = []

    def close(self) -> None:
        """Drop the connection."""
        self._liveness.close()
