"""The places of concurrency limits, the slots of rate limits and the locks of unique tasks, of one queue in memory."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field
from typing import Final

from umbel.broker.tickets import Admission, Ticket
from umbel.memory import head
from umbel.message import RESERVED, WOKEN

#: As many locks are looked through for expired ones when a new one is taken.
_SWEEP: Final = 1000


@dataclass(slots=True)
class _Rate:
    start: float = 0.0  #: when the next start is due
    slot: float = 0.0  #: the next free slot


@dataclass(slots=True)
class Locked:
    """A lock that is taken; with the message, if that is delayed and may be replaced."""

    task_id: str
    until: float
    payload: bytes | None = None


@dataclass
class Places:
    """See the module. Nothing here locks: whoever calls holds the lock of the store."""

    taken: dict[str, int] = field(default_factory=dict)
    _parked: dict[str, list[tuple[int, bytes, bytes]]] = field(default_factory=dict)
    _rates: dict[str, _Rate] = field(default_factory=dict)
    _locks: dict[str, Locked] = field(default_factory=dict)

    @property
    def parked(self) -> int:
        """How many messages wait for a place."""
        return sum(map(len, self._parked.values()))

    def take_parked(self) -> bytes:
        """Take out some message that waits for a place."""
        key, waiting = next(iter(self._parked.items()))
        payload = waiting.pop()[-1]
        if not waiting:
            del self._parked[key]
        return payload

    def clear_parked(self) -> int:
        """Drop what waits for a place; return how many."""
        count = self.parked
        self._parked.clear()
        return count

    # Places

    def is_full(self, ticket: Ticket) -> bool:
        """Whether all places of a ticket's key are taken."""
        return ticket.place is not None and self.taken.get(ticket.place, 0) >= ticket.places

    def park(self, key: str, payload: bytes) -> None:
        """Let a message wait for a place."""
        rank = (-head.priority(payload), head.age(payload), payload)
        bisect.insort(self._parked.setdefault(key, []), rank)

    def take(self, key: str) -> None:
        """Take a place."""
        self.taken[key] = self.taken.get(key, 0) + 1

    def free(self, key: str) -> bytes | None:
        """Free a place; return the message that may have it next."""
        self.taken[key] -= 1
        if not self.taken[key]:
            del self.taken[key]
        return self._unpark(key)

    def stranded(self) -> list[bytes]:
        """Take the first message of each key of which nobody has a place."""
        free = [key for key in self._parked if key not in self.taken]
        return [payload for key in free if (payload := self._unpark(key)) is not None]

    def unpark(self, most: int) -> list[bytes]:
        """Take messages that wait for a place, whether there is one or not."""
        found: list[bytes] = []
        while self._parked and len(found) < most:
            payload = self._unpark(next(iter(self._parked)))
            assert payload is not None
            found.append(payload)
        return found

    def _unpark(self, key: str) -> bytes | None:
        waiting = self._parked.get(key)
        if not waiting:
            return None
        payload = waiting.pop(0)[2]
        if not waiting:
            del self._parked[key]
        return head.flag(payload, WOKEN)

    # Rates

    def start(self, ticket: Ticket, payload: bytes, now: float) -> tuple[bytes, float | None]:
        """Take a start of a ticket's rate; return the message, and when its slot is if it has to wait for one."""
        assert ticket.rate is not None
        for key in [key for key, rate in self._rates.items() if max(rate.start, rate.slot) < now - 1.0]:
            del self._rates[key]
        rate = self._rates.setdefault(ticket.rate, _Rate())
        reserved = bool(head.flags(payload) & RESERVED)
        early = ticket.tolerance if reserved else 0.0
        if rate.start > now + early or (not reserved and rate.slot > max(rate.start, now)):
            due = max(rate.start, rate.slot, now)
            rate.slot = due + ticket.interval
            return head.flag(payload, RESERVED), due
        rate.start = max(rate.start, now) + ticket.interval
        rate.slot = max(rate.slot, rate.start)
        return head.flag(payload, 0, RESERVED), None

    # Locks

    def lock(self, name: str, now: float) -> Locked | None:
        """Return a lock that is taken."""
        lock = self._locks.get(name)
        return lock if lock is not None and lock.until > now else None

    def locked(self, name: str, now: float) -> str | None:
        """Return the id of the task that has a lock."""
        lock = self.lock(name, now)
        return None if lock is None else lock.task_id

    def take_lock(self, name: str, lock: Locked, now: float) -> None:
        """Give a lock to a task."""
        if len(self._locks) >= _SWEEP:
            self._locks = {key: lock for key, lock in self._locks.items() if lock.until > now}
        self._locks[name] = lock

    def drop_locks(self) -> None:
        """Forget all locks, since their tasks may be gone."""
        self._locks.clear()

    def unlock(self, name: str, task_id: str, until: float, now: float) -> None:
        """Take a lock from its own task, or let it live on until then."""
        if self.locked(name, now) == task_id:
            if until > now:
                self._locks[name].until = until
            else:
                del self._locks[name]

    def is_replaced(self, ticket: Ticket, now: float) -> bool:
        """Whether another task has taken a ticket's lock."""
        return ticket.lock is not None and self.locked(ticket.lock, now) not in (None, ticket.task_id)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a message that asked for its limits; ``due`` is infinite unless it is delayed."""

    admission: Admission
    payload: bytes
    due: float = math.inf


def judge(places: Places, ticket: Ticket, payload: bytes, now: float) -> Verdict:
    """Say whether a message may run, and take its place and its start if so; in the order of ``admit.lua``."""
    if places.is_replaced(ticket, now):
        return Verdict(Admission.REPLACED, payload)
    if places.is_full(ticket):
        return Verdict(Admission.PARKED, payload)
    if ticket.rate is not None:
        payload, due = places.start(ticket, payload, now)
        if due is not None:
            return Verdict(Admission.DELAYED, payload, due)
    if ticket.place is not None:
        places.take(ticket.place)
    return Verdict(Admission.GO, payload)
