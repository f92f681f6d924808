"""The locks of unique tasks that are published to a queue in memory, as ``publish.lua`` gives them."""

from __future__ import annotations

from collections.abc import Sequence

from umbel.broker.base import Outgoing
from umbel.memory.places import Locked
from umbel.memory.queue import MemoryQueue
from umbel.options import Conflict


class Claims:
    """Which of some messages may be sent. Nothing is changed before `take`.

    Args:
        queue: that they go to.
        messages: in order; one that is refused is told who stands for it.
        now: seconds.
    """

    def __init__(self, queue: MemoryQueue, messages: Sequence[Outgoing], now: float) -> None:
        self._queue = queue
        self._now = now
        self.granted: list[Outgoing] = []
        taken: dict[str, str] = {}
        for message in messages:
            lock = message.lock
            if lock is not None:
                owner = taken.get(lock.name) or queue.places.locked(lock.name, now)
                if owner is not None and lock.conflict is not Conflict.REPLACE:
                    message.existing = owner
                    continue
                taken[lock.name] = message.task_id
            self.granted.append(message)

    def take(self, message: Outgoing, payload: bytes) -> None:
        """Give a message its lock; one that it replaces while that is delayed is made ready, so that somebody ends it."""
        lock = message.lock
        if lock is None:
            return
        old = self._queue.places.lock(lock.name, self._now)
        kept = payload if message.delay > 0 and lock.conflict is Conflict.REPLACE else None
        until = self._now + message.delay + lock.seconds
        self._queue.places.take_lock(lock.name, Locked(message.task_id, until, kept), self._now)
        if old is not None and old.payload is not None and self._queue.undelay(old.payload):
            self._queue.put_back(old.payload)
