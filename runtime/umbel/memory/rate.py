"""The rate limit of a queue in memory (GCRA), as the Lua scripts have it."""

from __future__ import annotations

import math
from typing import Final

from umbel.rates import RateLimit

#: Seconds after the one who watches that the others look, in case that it is busy then.
WATCH_GRACE: Final = 1.0


class Rate:
    """When the next task would start if all kept their distance: ahead of the clock by `RateLimit.at_once` distances at most."""

    def __init__(self) -> None:
        self._at = 0.0
        self._watch = (0.0, "")

    def free(self, limit: RateLimit, now: float) -> int:
        """Return how many may start now."""
        distance = limit.period / limit.tasks
        most = limit.at_once * distance
        if self._at > now + most + distance:
            self._at = now  # the limit was changed, or the clock jumped: begin afresh
        self._at = max(self._at, now)
        return math.floor((now + most - self._at) / distance + 0.001)

    def spend(self, limit: RateLimit, taken: int) -> None:
        """Note how many start now."""
        self._at += taken * limit.period / limit.tasks

    def unspend(self, limit: RateLimit | None) -> None:
        """Note that one was given back unstarted."""
        if limit is not None:
            self._at -= limit.period / limit.tasks

    def pause(self, limit: RateLimit, now: float, owner: str, *, watches: bool) -> float:
        """Return seconds until the next one may start; a while more for all but one of those who ask with ``watches``."""
        distance = limit.period / limit.tasks
        start = self._at + distance - limit.at_once * distance
        pause = max(0.001, start - now)
        if not watches:
            return pause
        before, who = self._watch
        if who not in ("", owner) and before > now:
            return pause + WATCH_GRACE
        self._watch = (start, owner)
        return pause
