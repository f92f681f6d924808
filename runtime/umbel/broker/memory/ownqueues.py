"""Queues of single workers of an in-memory broker."""

from __future__ import annotations

from collections.abc import Sequence

from umbel.broker import ownqueues
from umbel.broker.data import Delivery, Outcome, Outgoing
from umbel.clock import Clock
from umbel.memory import head
from umbel.memory import outcomes as memory_outcomes
from umbel.memory.store import Store
from umbel.queues import OWN, is_own


class MemoryOwnQueues:
    """See `umbel.broker.ownqueues.OwnQueues`.

    Args:
        store: of the broker.
        clock: tells when a message was published.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def workers(self, queue: str) -> list[str]:
        with self._store.locked() as store:
            return sorted(
                {
                    owner.hostname
                    for owner in store.owners.values()
                    if owner.id not in store.dying and {queue, owner.hostname + OWN} <= set(owner.queues)
                    if owner.state != "draining"
                }
            )

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

    # The end of a queue

    def abandoned(self, grace: float, every: float) -> list[str]:
        now = self._clock.time()
        with self._store.locked() as store:
            if now < store.turn_until:
                return []
            store.turn_until = now + every
            if now > store.watched_until:
                store.abandoned.clear()
            store.watched_until = now + ownqueues.MISSED * every + ownqueues.LATE
            consumed = _consumed(store)
            names = sorted(name for name in store.queues if is_own(name))
            over = []
            for name in names:
                if name in consumed:
                    store.abandoned.pop(name, None)
                elif now - store.abandoned.setdefault(name, now) >= grace:
                    over.append(name)
            return over + [name for name in names if name in consumed and store.queue(name).ended.messages]

    def begin(self, queue: str, token: str) -> bool:
        with self._store.locked() as store:
            state = store.queues.get(queue)
            if state is None or queue in _consumed(store):
                return False
            state.ending = token
            return True

    def take(self, queue: str, token: str, most: int) -> list[Delivery]:
        with self._store.locked() as store:
            state = store.queue(queue)
            if not state.ended.messages and token and state.ending == token:
                state.put_aside(most)
            return [Delivery(queue, tag, payload) for tag, payload in state.ended.messages.items()]

    def settle(self, queue: str, outcomes: Sequence[Outcome]) -> None:
        with self._store.locked() as store:
            state = store.queue(queue)
            memory_outcomes.apply(store, state, state.ended, outcomes, self._clock.time())

    def end(self, queue: str, token: str) -> bool:
        with self._store.locked() as store:
            state = store.queues.get(queue)
            if state is None or state.ending != token or not state.has_nothing:
                return False
            state.trim_dead(self._clock.time())
            if state.dead(1, 0, None, None):
                state.ending = None
            else:
                del store.queues[queue]
                store.abandoned.pop(queue, None)
            return True


def _consumed(store: Store) -> set[str]:
    return {name for owner in store.owners.values() if owner.id not in store.dying for name in owner.queues}
