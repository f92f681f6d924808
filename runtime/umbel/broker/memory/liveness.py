"""Heartbeats and burials of an in-memory broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from umbel.broker.base import Charge, Death, Outcome, OwnerInfo
from umbel.clock import Clock
from umbel.memory import head
from umbel.memory import outcomes as memory_outcomes
from umbel.memory.queue import MemoryQueue
from umbel.memory.store import Store
from umbel.message import nonce_of
from umbel.record import Record


class MemoryLiveness:
    """See `umbel.broker.base.Liveness`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def beat(self, owners: Iterable[OwnerInfo]) -> list[str]:
        now = self._clock.time()
        gone = []
        with self._store.locked() as store:
            for owner in owners:
                known = store.owners.get(owner.id)
                if known is None or owner.id in store.dying:
                    gone.append(owner.id)
                    continue
                # A score that stood still would look dead, also where the clock stands still.
                score = max(now, known.last_beat + 0.001)
                store.owners[owner.id] = replace(owner, queues=list(owner.queues), last_beat=score)
        return gone

    def scores(self) -> dict[str, float]:
        with self._store.locked() as store:
            return {owner: info.last_beat for owner, info in store.owners.items() if owner not in store.dying}

    def generation(self) -> str:
        return self._store.generation

    def owners(self) -> list[OwnerInfo]:
        with self._store.locked() as store:
            return [
                replace(info, queues=list(info.queues)) for info in store.owners.values() if info.id not in store.dying
            ]

    def dying(self) -> list[str]:
        with self._store.locked() as store:
            return sorted(store.dying)

    def held(self, owner: str) -> dict[str, dict[int, bytes]]:
        with self._store.locked() as store:
            return {
                name: dict(queue.holdings[owner].messages)
                for name, queue in store.queues.items()
                if owner in queue.holdings
            }

    def bury(
        self,
        owner: str,
        *,
        seen: float | None = None,
        charge: Charge = Charge.NONE,
        guilty: int | None = None,
        suspects: Sequence[int] = (),
    ) -> int | None:
        with self._store.locked():
            if not self.begin(owner, seen):
                return None
            return self._finish(owner, charge, guilty, suspects)

    def begin(self, owner: str, seen: float | None = None) -> bool:
        """Enter an owner among the dying, the first step of a burial; False if it turned out to be alive."""
        with self._store.locked() as store:
            info = store.owners.get(owner)
            if info is not None and owner not in store.dying:
                if seen is not None and info.last_beat != seen:
                    return False
                store.dying.add(owner)
            return True

    def note_death(self, death: Death, charged: Mapping[str, Sequence[bytes]]) -> None:
        dated = replace(death, at=self._clock.time())
        with self._store.locked() as store:
            for queue, payloads in charged.items():
                nonces = frozenset(nonce for nonce in map(nonce_of, payloads) if nonce is not None)
                store.queue(queue).deaths.append((dated, nonces))

    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool:
        with self._store.locked() as store:
            return store.records.store(task_id, record.encode(), ttl, self._clock.time(), guarded=True)

    def sentence(self, owner: str, queue: str, tag: int, flag: int) -> bool:
        with self._store.locked() as store:
            state = store.queues.get(queue)
            holding = state.holdings.get(owner) if state is not None else None
            if holding is None or tag not in holding.messages:
                return False
            holding.messages[tag] = head.flag(holding.messages[tag], flag)
            return True

    def settle(self, owner: str, queue: str, outcome: Outcome) -> bool:
        now = self._clock.time()
        with self._store.locked() as store:
            state = store.queues.get(queue)
            holding = state.holdings.get(owner) if state is not None else None
            if state is None or holding is None:
                return False
            outcome = replace(outcome, place=True)  # who settles does not know whether it has one
            lost = memory_outcomes.apply(store, state, holding, [outcome], now)
            store.ring_if_takeable(state)
            return not lost

    def close(self) -> None:
        """Nothing to drop."""

    def _finish(self, owner: str, charge: Charge, guilty: int | None, suspects: Sequence[int]) -> int:
        moved = 0
        with self._store.locked() as store:
            for queue in store.queues.values():
                moved += self._return_messages(queue, owner, charge, guilty, suspects)
                store.ring_if_takeable(queue)
            store.owners.pop(owner, None)
            store.dying.discard(owner)
        return moved

    @staticmethod
    def _return_messages(
        queue: MemoryQueue, owner: str, charge: Charge, guilty: int | None, suspects: Sequence[int]
    ) -> int:
        holding = queue.holdings.pop(owner, None)
        if holding is None:
            return 0
        queue.free_all(holding)
        tags = sorted(holding.messages)
        front = [
            head.raise_counts(
                payload,
                attempt=1,
                lost=int(charge is Charge.LOST and tag == guilty),
                suspect=int(charge is Charge.SUSPECT and (not suspects or tag in suspects)),
                requeues=int(charge is Charge.REQUEUE),
            )
            for tag, payload in zip(tags, queue.release_all(holding), strict=True)
        ]
        queue.put_front(front)
        return len(front)
