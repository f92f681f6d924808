"""Ends the own queues of workers that are gone. Every worker and beat have such a janitor; one of them at a time looks.

A queue ends when nobody has consumed it for the setting ``own_queue_grace``, as seen by janitors who looked all the time: so a
worker that comes back under its name finds what waited, also after an outage of everything. Whoever waits for what was in the
queue is told. A janitor that dies half-way is followed by another one; two do not disturb each other.
"""

from __future__ import annotations

import logging
import math
import os
import random
from collections.abc import Callable
from typing import Final

from umbel.broker.base import Broker, ConnectionLost
from umbel.clock import Clock
from umbel.dropping import end_abandoned, look_after
from umbel.errors import OperationalError, UmbelError

log = logging.getLogger("umbel.queues")

#: Seconds between two looks, by whoever: a part of the grace, within these bounds.
PART: Final = 0.1
LEAST, MOST = 1.0, 30.0
#: Messages that are put aside at once, and seconds that one look may take: the process has other things to do.
ASIDE: Final = 256
BUDGET: Final = 1.0


class OwnQueueJanitor:
    """See the module.

    Args:
        broker: whose queues are looked after.
        grace: returns the setting ``own_queue_grace``.
        ttl: seconds to keep the records of what did not run.
        clock: its monotonic time counts.
    """

    def __init__(self, broker: Broker, grace: Callable[[], float], ttl: float, clock: Clock) -> None:
        self._broker = broker
        self._grace = grace
        self._ttl = ttl
        self._clock = clock
        self._next = clock.monotonic() + LEAST

    def look(self) -> int:
        """Look, if it is time; return how many tasks ended with their queue.

        Raises:
            OperationalError, ConnectionLost: the broker is away.
        """
        now = self._clock.monotonic()
        if now < self._next:
            return 0
        grace = self._grace()
        every = min(max(grace * PART, LEAST), MOST)
        self._next = now + every
        try:
            return self._look(grace, every, now)
        except UmbelError as error:
            if getattr(error, "code", "") != "OOM":
                raise
            # A broker that is full is not away: whoever looks works on, and somebody looks again.
            log.warning("queues.not_looked_after", extra={"error": str(error)})
            return 0

    def _look(self, grace: float, every: float, now: float) -> int:
        count = 0
        found = self._broker.own_queues.abandoned(grace, every)
        for queue in random.sample(found, len(found)):  # none of very many waits for ever behind the others
            if self._clock.monotonic() >= now + BUDGET:
                break
            try:
                count += self.end(queue, now + BUDGET)
            except (OperationalError, ConnectionLost):
                raise
            except UmbelError as error:
                # A newer layout, or results that are elsewhere and away: the next look tries again.
                log.warning("queue.not_ended", extra={"queue": queue, "error": str(error)})
        return count

    def end(self, queue: str, until: float = math.inf) -> int:
        """End a queue, or go on with that; return how many tasks ended with it.

        Args:
            queue: its name.
            until: monotonic time at which somebody else, or another look, is to go on.
        """
        own_queues = self._broker.own_queues
        token = os.urandom(8).hex()
        if own_queues.begin(queue, token):
            look_after(self._broker, [queue], self._ttl)
        else:
            token = ""  # a worker is back, or dead letters alone are left: only what stands aside already is told
            self._broker.trim_dead(queue)
        count = 0
        while self._clock.monotonic() < until:
            aside = own_queues.take(queue, token, ASIDE)
            if not aside:
                if own_queues.end(queue, token) or count:
                    log.warning("queue.abandoned", extra={"queue": queue, "tasks": count})
                break
            end_abandoned(self._broker, aside, self._ttl)
            count += len(aside)
        return count
