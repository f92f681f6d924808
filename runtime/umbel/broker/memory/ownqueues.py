"""Queues of single workers of an in-memory broker."""

from __future__ import annotations

from collections.abc import Sequence

from umbel.broker.data import Outgoing
from umbel.clock import Clock
from umbel.memory import head
from umbel.memory.store import Store


class MemoryOwnQueues:
    """See `umbel.broker.ownqueues.OwnQueues`.

    Args:
        store: of the broker.
        clock: tells when a message was published.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def agree(self, queue: str, name: str, value: bytes, ttl: float) -> bytes:
        with self._store.locked() as store:
            return store.queue(queue).agreed.setdefault(name, value)

    def publish(self, name: str, messages: Sequence[tuple[str, Outgoing]], ttl: float) -> list[str]:
        now_ms = int(self._clock.time() * 1000)
        refused = []
        with self._store.locked() as store:
            for queue, outgoing in messages:
                own = store.queue(queue)
                if not own.settings.intake_open:
                    refused.append(queue)
                elif name not in own.copied:
                    own.copied.add(name)
                    own.put_back(head.stamp(outgoing.payload, now_ms))
                    store.ring_if_takeable(own)
        return refused
