"""The lead of one source of schedules: a lock in Redis with a fencing number."""

from __future__ import annotations

import logging
import os
import socket

from umbel.clock import Clock
from umbel.redis.schedules import ScheduleStore

log = logging.getLogger("umbel.beat")


class Lease:
    """Takes and keeps the lead of a source. One thread.

    Args:
        store: Redis.
        source: of schedules.
        ttl: seconds after which another beat may take over from a dead one.
        clock: its monotonic time counts.
    """

    def __init__(self, store: ScheduleStore, source: str, ttl: float, clock: Clock) -> None:
        self.source = source
        self.ttl = ttl
        #: The fencing number, 0 while another beat leads.
        self.epoch = 0
        self._store = store
        self._clock = clock
        self._token = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(6).hex()}"
        self._renewed = float("-inf")
        self._floor = 0

    @property
    def valid(self) -> bool:
        """Whether this beat leads, as far as it can know without asking."""
        return self.epoch > 0 and self._clock.monotonic() - self._renewed < self.ttl

    def hold(self) -> bool:
        """Take or renew the lead where that is time; return whether this beat leads.

        Raises:
            OperationalError: Redis cannot be reached.
        """
        asked = self._clock.monotonic()
        if self.epoch and asked - self._renewed < self.ttl / 3:
            return True
        epoch = self._store.lead(self.source, self._token, self.ttl, self._floor, self.epoch)
        if epoch is None:
            if self.epoch:
                log.warning("beat.lead_lost", extra={"source": self.source, "epoch": self.epoch})
            self.epoch = 0
            return False
        if epoch != self.epoch:
            log.info("beat.leading", extra={"source": self.source, "epoch": epoch})
        self.epoch, self._renewed, self._floor = epoch, asked, max(self._floor, epoch - 1)
        return True

    def overtaken(self, highest: int) -> None:
        """A queue has seen a higher epoch: ask again for the lead, and for an epoch above that."""
        log.warning("beat.overtaken", extra={"source": self.source, "epoch": self.epoch, "highest": highest})
        self._floor = max(self._floor, highest)
        self._renewed = float("-inf")
        self.epoch = 0

    def release(self) -> None:
        """Give the lead up.

        Raises:
            OperationalError: Redis cannot be reached; the lock ends by itself.
        """
        if self.epoch:
            self.epoch = 0
            self._store.release(self.source, self._token)
