"""The consumer side of one owner of an in-memory broker."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from umbel.broker.base import Batch, Delivery, Outcome, OwnerInfo, OwnerLost
from umbel.broker.tickets import Admission, Ticket
from umbel.clock import Clock
from umbel.memory import head
from umbel.memory import outcomes as memory_outcomes
from umbel.memory.queue import Holding, MemoryQueue
from umbel.memory.store import Store
from umbel.message import BEGUN
from umbel.record import Record


class MemoryConsumer:
    """See `umbel.broker.base.Consumer`."""

    def __init__(self, store: Store, owner: OwnerInfo, clock: Clock) -> None:
        self.owner = owner
        self._store = store
        self._clock = clock
        self._tags = itertools.count(1)

    def register(self) -> None:
        now = self._clock.time()
        with self._store.locked() as store:
            store.owners[self.owner.id] = replace(self.owner, queues=list(self.owner.queues), last_beat=now)
            for name in self.owner.queues:
                self._enter(store.queue(name))

    def _enter(self, state: MemoryQueue) -> None:
        state.holdings.setdefault(self.owner.id, Holding(self._tags))
        state.ending = None  # an own queue has its worker back

    def consume(self, queue: str) -> None:
        with self._store.locked() as store:
            known = self._registered(store)
            self._enter(store.queue(queue))
            known.queues = self.owner.queues = [name for name in known.queues if name != queue] + [queue]

    def cancel(self, queue: str) -> None:
        with self._store.locked() as store:
            known = self._registered(store)
            known.queues = self.owner.queues = [name for name in known.queues if name != queue]

    def _registered(self, store: Store) -> OwnerInfo:
        known = store.owners.get(self.owner.id)
        if known is None or self.owner.id in store.dying:
            raise OwnerLost(f"owner {self.owner.id} was buried or never registered")
        return known

    def cycle(self, queue: str, outcomes: Sequence[Outcome], want: int) -> Batch:
        now = self._clock.time()
        with self._store.locked() as store:
            state = store.queues.get(queue)
            holding = state.holdings.get(self.owner.id) if state is not None else None
            if state is None or holding is None:
                raise OwnerLost(
                    f"owner {self.owner.id} holds nothing of queue {queue}: it was buried or never registered"
                )
            first_due = state.first_due_ms
            lost_tags = memory_outcomes.apply(store, state, holding, outcomes, now)
            sooner = state.first_due_ms < first_due
            next_due = state.promote(int(now * 1000))
            limit = state.settings.rate
            free = want if limit is None else min(want, state.rate.free(limit, now))
            taken = state.take(holding, free)
            limited = None
            if limit is not None:
                state.rate.spend(limit, len(taken))
                if state.takeable and state.rate.free(limit, now) < 1:
                    limited = state.rate.pause(limit, now, self.owner.id, watches=want > 0 and not taken)
            if limited is not None and not taken and want:
                pass  # it looks again in time: ringing now would have others look in vain
            elif sooner and next_due is not None and not state.settings.held:
                store.bells.ring(queue)
            else:
                store.ring_if_takeable(state)
            return Batch(
                deliveries=[Delivery(queue, tag, payload) for tag, payload in taken],
                now=now,
                next_due=next_due,
                lost_tags=lost_tags,
                more=state.takeable and limited is None,
                max_deliveries=state.settings.max_deliveries,
                limited=limited,
                task_defaults=state.settings.task_defaults,
            )

    def admit(self, delivery: Delivery, ticket: Ticket) -> Admission:
        with self._store.locked() as store:
            state = store.queues.get(delivery.queue)
            holding = state.holdings.get(self.owner.id) if state is not None else None
            if state is None or holding is None:
                raise OwnerLost(f"owner {self.owner.id} was buried")
            first_due = state.first_due_ms
            admission = state.admit(holding, delivery.tag, ticket, self._clock.time())
            if state.first_due_ms < first_due and not state.settings.held:
                store.bells.ring(delivery.queue)
            return admission

    def begin(self, delivery: Delivery) -> bool:
        with self._store.locked() as store:
            state = store.queues.get(delivery.queue)
            holding = state.holdings.get(self.owner.id) if state is not None else None
            if holding is None:
                raise OwnerLost(f"owner {self.owner.id} was buried")
            if delivery.tag not in holding.messages:
                return False
            holding.messages[delivery.tag] = head.flag(holding.messages[delivery.tag], BEGUN)
            return True

    def resume(self) -> dict[str, dict[int, bytes]]:
        with self._store.locked() as store:
            held = {
                name: dict(queue.holdings[self.owner.id].messages)
                for name, queue in store.queues.items()
                if self.owner.id in queue.holdings
            }
            if not held:
                raise OwnerLost(f"owner {self.owner.id} was buried")
            return held

    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool:
        with self._store.locked() as store:
            return store.records.store(task_id, record.encode(), ttl, self._clock.time(), guarded=True)

    def revocations(self) -> dict[str, float]:
        with self._store.locked() as store:
            return store.revoked(self._clock.time())

    def leave(self) -> None:
        with self._store.locked() as store:
            for queue in store.queues.values():
                holding = queue.holdings.pop(self.owner.id, None)
                if holding is not None:
                    queue.free_all(holding)
                    messages = queue.release_all(holding)
                    queue.put_front([head.raise_counts(message, attempt=1) for message in messages])
                    store.ring_if_takeable(queue)
            store.owners.pop(self.owner.id, None)

    def close(self) -> None:
        """Nothing to drop: what the owner holds stays its own until `leave` or a burial."""
