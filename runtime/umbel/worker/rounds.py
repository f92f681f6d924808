"""What a child makes of the broker's answers: which queue it asks next, and how long it may wait for a bell."""

from __future__ import annotations

import time
from collections.abc import Callable

from umbel.broker.base import Batch
from umbel.worker.standing import Standing

#: Seconds that an idle child waits for a bell before it looks by itself.
LOOK = 2.0


class Rounds:
    """See the module.

    Args:
        standing: what the child consumes.
        clock: monotonic, in seconds.
    """

    def __init__(self, standing: Standing, clock: Callable[[], float] = time.monotonic) -> None:
        self._standing = standing
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """Begin anew with the queues that the supervisor has said last."""
        self.names = self._standing.names()
        self.turns = self._standing.turns(self._clock)
        self._due: dict[str, float | None] = {}  # queue -> when something of it is due, or may start; monotonic

    def answered(self, queue: str, batch: Batch, *, wanted: bool = True) -> bool:
        """Take in an answer; return whether the queue may have more.

        Args:
            queue: that was asked.
            batch: the answer.
            wanted: whether it was asked for messages.
        """
        pause = min((pause for pause in (batch.next_due, batch.limited) if pause is not None), default=None)
        self._due[queue] = None if pause is None else self._clock() + pause
        if batch.deliveries or batch.more:
            self.turns.promising(queue)
            return True
        if wanted:
            self.turns.empty(queue)
        return False

    def rung(self, queue: str | None) -> None:
        """Take in which queue a bell was rung for, None for none in time: each may have something then."""
        if queue is None:
            self.turns.all_promising()
        else:
            self.turns.promising(queue)

    def pause(self) -> float:
        """Return how many seconds to wait for a bell: until the next message is due, `LOOK` at the most."""
        due = min((due for due in self._due.values() if due is not None), default=None)
        return LOOK if due is None else min(LOOK, max(0.0, due - self._clock()) + 0.001)
