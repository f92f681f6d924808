"""Result records in memory: with a time to live, guarded by attempt and final states, and those who wait for them."""

from __future__ import annotations

import heapq
import math
from concurrent.futures import Future
from typing import Protocol

from umbel import record as records
from umbel.record import Record
from umbel.states import READY_STATES, SUCCESS


def _may_replace(old: Record, new: Record) -> bool:
    """Return whether a record written outside of a cycle may take the place of another."""
    if old.state == SUCCESS or old.attempt > new.attempt:
        return False
    return old.attempt < new.attempt or old.state not in READY_STATES


class Hearer(Protocol):
    """Somebody who listens to a task."""

    def hear(self, record: Record) -> None:
        """Hear of a record."""


class MemoryRecords:
    """The records of one store. Nothing here locks: whoever calls holds the lock of the store."""

    def __init__(self) -> None:
        self._stored: dict[str, tuple[float, bytes]] = {}
        self._expiries: list[tuple[float, str]] = []
        self._waiting: dict[str, list[Future[Record]]] = {}
        self._listening: dict[str, list[Hearer]] = {}
        self._heard: list[tuple[Hearer, Record]] = []
        self._settled: list[tuple[Future[Record], Record]] = []

    def get(self, task_id: str, now: float) -> Record | None:
        """Return a record, or None."""
        expiry, raw = self._stored.get(task_id, (0.0, b""))
        return records.decode(raw) if expiry > now else None

    def store(self, task_id: str, raw: bytes, ttl: float, now: float, *, guarded: bool) -> bool:
        """Keep an encoded record for ``ttl`` seconds, for ever where that is 0.

        A guarded one is refused, with False, if a later attempt or a final state stands there. The record of an outcome
        needs no guard: who writes it owns the message.
        """
        self._drop_expired(now)
        record = records.decode(raw)
        old = self.get(task_id, now)
        if guarded and old is not None and not _may_replace(old, record):
            return False
        expiry = now + ttl if ttl > 0 else math.inf
        self._stored[task_id] = (expiry, raw)
        heapq.heappush(self._expiries, (expiry, task_id))
        self._heard += [(hearer, record) for hearer in self._listening.get(task_id, ())]
        if record.state in READY_STATES:
            self._settled += [(future, records.decode(raw)) for future in self._waiting.pop(task_id, ())]
        return True

    def forget(self, task_id: str) -> None:
        """Drop a record."""
        self._stored.pop(task_id, None)

    def clear(self) -> None:
        """Drop all records; those who wait go on waiting."""
        self._stored.clear()
        self._expiries.clear()

    def wait(self, task_id: str, future: Future[Record], now: float) -> None:
        """Settle the future once a record in a ready state is there."""
        record = self.get(task_id, now)
        if record is not None and record.state in READY_STATES:
            self._settled.append((future, record))
        else:
            self._waiting.setdefault(task_id, []).append(future)

    def listen(self, task_id: str, hearer: Hearer, now: float) -> None:
        """Have a listener hear of every record of a task, first of the one that is there."""
        self._listening.setdefault(task_id, []).append(hearer)
        record = self.get(task_id, now)
        if record is not None:
            self._heard.append((hearer, record))

    def unlisten(self, task_id: str, hearer: Hearer) -> None:
        """Have a listener hear no more."""
        listening = self._listening.get(task_id, [])
        if hearer in listening:
            listening.remove(hearer)
        if not listening:
            self._listening.pop(task_id, None)

    def take_heard(self) -> list[tuple[Hearer, Record]]:
        """Return who is to hear what, from the caller, once it has let go of the lock."""
        heard, self._heard = self._heard, []
        return heard

    def abandon(self, task_id: str, future: Future[Record]) -> None:
        """Forget a future that waits no more."""
        waiting = self._waiting.get(task_id, [])
        if future in waiting:
            waiting.remove(future)
        if not waiting:
            self._waiting.pop(task_id, None)

    def take_settled(self) -> list[tuple[Future[Record], Record]]:
        """Return the futures to be set, by the caller, once it has let go of the lock."""
        settled, self._settled = self._settled, []
        return settled

    def _drop_expired(self, now: float) -> None:
        while self._expiries and self._expiries[0][0] <= now:
            expiry, task_id = heapq.heappop(self._expiries)
            if task_id in self._stored and self._stored[task_id][0] == expiry:
                del self._stored[task_id]
