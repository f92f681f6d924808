"""How many messages to fetch: bounded by time, not by count. Pure.

The work in hand is kept under `HORIZON`, so that no message waits behind others for longer than that; nothing is fetched
ahead where tasks are long beside the round trip, or unknown.
"""

from __future__ import annotations

#: Seconds of work to hold at most, and messages at most.
HORIZON = 0.005
MOST = 128
#: Tasks longer than this many round trips are fetched one by one.
LONG = 10.0
#: Weight of the newest measurement; a task that is longer than those before counts more.
_NEW = 0.2
_NEW_AND_LONGER = 0.3


class Estimate:
    """Running means of a task's run time and of the round trip, in seconds.

    Args:
        most_ahead: messages that may be held beyond those that run, however short tasks are.
    """

    def __init__(self, most_ahead: int | None = None) -> None:
        self.most_ahead = MOST if most_ahead is None else most_ahead
        self.runtime: float | None = None
        self.round_trip = 0.0005

    def ran(self, seconds: float) -> None:
        """Take in one task's run time.

        A longer one does not count as a whole: it may be a short one that had to wait for the processor, after which it would
        take many turns to fetch ahead again. What waits behind one that is really long is given back, see `Helper`.
        """
        if self.runtime is None:
            self.runtime = seconds
        else:
            self.runtime += (seconds - self.runtime) * (_NEW_AND_LONGER if seconds > self.runtime else _NEW)

    def travelled(self, seconds: float) -> None:
        """Take in one round trip."""
        self.round_trip += (seconds - self.round_trip) * _NEW

    def want(self) -> int:
        """Return how many messages to fetch with nothing in hand."""
        if self.runtime is None or self.runtime > LONG * self.round_trip:
            return 1
        return max(1, min(MOST, 1 + self.most_ahead, int(self.horizon() / max(self.runtime, 1e-6))))

    def is_short(self) -> bool:
        """Tell whether tasks are known to be short beside the round trip, so that some may be fetched ahead."""
        return self.runtime is not None and self.runtime <= LONG * self.round_trip

    def horizon(self) -> float:
        """Return how many seconds of work may be in hand."""
        return max(2 * self.round_trip, HORIZON)
