"""Deletes the queues whose TaskQueue is being deleted with the policy Purge. The leader does it, a step at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable

from umbel.beat.definitions import Definitions
from umbel.beat.lease import Lease
from umbel.broker.base import Broker, Delivery
from umbel.clock import Clock
from umbel.dropping import end_deleted
from umbel.redis.purging import Purge, Purges, Step

log = logging.getLogger("umbel.beat")

#: Seconds between two looks at whether there is something to purge, or whether workers have finished what they hold.
LOOK_EVERY = 1.0
#: Seconds for which one look works at the most, and rests then if there is more.
BUDGET = 0.25
REST = 0.05


class Purger:
    """See the module. `look` belongs to one thread.

    Args:
        purges: Redis.
        definitions: returns what the directory holds.
        lease: returns the lead in whose name queues are purged, None without one.
        broker: through which those are told who wait for a task that goes.
        clock: its monotonic time counts.
    """

    def __init__(
        self,
        purges: Purges,
        definitions: Callable[[], Definitions],
        lease: Callable[[], Lease | None],
        broker: Broker,
        clock: Clock,
    ) -> None:
        self._purges = purges
        self._definitions = definitions
        self._lease = lease
        self._broker = broker
        self._clock = clock
        self._under_way: dict[str, Purge] = {}
        self._done: dict[str, str] = {}

    def look(self) -> float:
        """Work for a moment; return how many seconds to wait.

        Raises:
            OperationalError: Redis is away; what was done stays done.
        """
        definitions = self._definitions()
        wanted = {name: queue.purge for name, queue in definitions.queues.items() if queue.purge}
        self._done = {name: uid for name, uid in self._done.items() if wanted.get(name) == uid}
        self._under_way = {name: purge for name, purge in self._under_way.items() if wanted.get(name) == purge.uid}
        until = self._clock.monotonic() + BUDGET
        more = False
        for name, uid in wanted.items():
            if name not in self._done:
                more |= self._work(name, uid, definitions.serial, until)
        return REST if more else LOOK_EVERY

    def _work(self, name: str, uid: str, serial: int, until: float) -> bool:
        """Purge one queue until that has to wait; return whether there is more to do at once."""
        step = Step.MORE
        while step in (Step.MORE, Step.ASIDE):
            if self._clock.monotonic() >= until:
                return True
            lease = self._lease()
            if lease is None or not lease.valid:
                self._under_way.pop(name, None)
                return False
            purge = self._under_way.get(name)
            if purge is None or purge.epoch != lease.epoch:
                # What another beat has done stays done; it is only looked through again.
                purge = self._under_way[name] = Purge(name, uid, lease.source, lease.epoch, serial)
                log.info("queue.purging", extra={"queue": name, "uid": uid})
            purge.serial = serial
            step = self._purges.step(purge)
            if step is Step.ASIDE:
                tell(self._purges, self._broker, name)
            if step is Step.DONE:
                self._done[name] = uid
                log.info("queue.purged", extra={"queue": name, "uid": uid, "keys": purge.found})
                del self._under_way[name]
        return False


def tell(purges: Purges, broker: Broker, queue: str) -> None:
    """End the tasks that a purge has put aside: whoever waits for one is told that it was revoked."""
    deliveries = [Delivery(queue, tag, payload) for tag, payload in purges.aside(queue)]
    if deliveries:
        end_deleted(broker, deliveries)
