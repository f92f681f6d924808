"""One queue in memory: ready lists by priority, delayed messages, what the owners hold, dead letters, settings.

Nothing here locks: whoever calls holds the lock of the store.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from umbel.broker.base import DeadLetter, Death, Delivery, QueueInfo, full
from umbel.broker.tickets import Admission, Ticket
from umbel.clock import full_milliseconds
from umbel.errors import QueueFull
from umbel.memory import head
from umbel.memory.fair import Fair
from umbel.memory.places import Places, judge
from umbel.memory.rate import Rate
from umbel.message import MAX_PRIORITY, group_digest
from umbel.rates import RateLimit
from umbel.taskdefaults import TaskDefaults

#: How many delayed messages one call makes ready at most.
PROMOTE_LIMIT: Final = 256
#: What holds until `Broker.configure` says otherwise: deaths of a worker that one message may cause, how long dead
#: letters stay (seconds), how many of them.
MAX_DELIVERIES: Final = 3
DEAD_RETENTION: Final = 604_800.0
DEAD_MAX: Final = 100_000
#: Deaths that one queue remembers, for the story of dead letters.
DEATHS_MAX: Final = 500


@dataclass(slots=True)
class Settings:
    """What `Broker.configure` wrote."""

    intake_open: bool = True
    held: bool = False
    max_concurrency: int | None = None
    max_length: int | None = None
    drop_oldest: bool = False
    rate: RateLimit | None = None
    weights: dict[bytes, int] = field(default_factory=dict)
    max_deliveries: int = MAX_DELIVERIES
    keep_dead: bool = True
    dead_retention: float = DEAD_RETENTION
    dead_max: int = DEAD_MAX
    forward: str | None = None
    task_defaults: bytes | None = None
    serial: int = -1
    given: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, settings: dict[str, Any], serial: int) -> Settings:
        """Return the settings of a configuration; what it leaves out has its default."""
        settings = {name: value for name, value in settings.items() if value is not None}
        weights = settings.get("group_weights") or {}
        retention, defaults = settings.get("dead_retention"), settings.get("task_defaults")
        return cls(
            intake_open=settings.get("intake") != "Reject",
            held=settings.get("dispatch") == "Held",
            max_concurrency=settings.get("max_concurrency"),
            max_length=settings.get("max_length"),
            drop_oldest=settings.get("overflow") == "DropOldest",
            rate=settings.get("rate_limit"),
            weights={group_digest(group).encode(): weight for group, weight in weights.items()},
            max_deliveries=int(settings.get("max_deliveries") or MAX_DELIVERIES),
            keep_dead=settings.get("dead_policy") != "Discard",
            dead_retention=DEAD_RETENTION if retention is None else float(retention),
            dead_max=int(settings.get("dead_max") or DEAD_MAX),
            forward=settings.get("dead_forward") if settings.get("dead_policy") == "Forward" else None,
            task_defaults=TaskDefaults.of(defaults).encode() if defaults else None,
            serial=serial,
            given=settings,
        )


@dataclass(slots=True)
class Holding:
    """What one owner holds of one queue. All holdings of an owner draw their tags from one counter: none is used twice."""

    tags: Iterator[int]
    messages: dict[int, bytes] = field(default_factory=dict)
    places: dict[int, str] = field(default_factory=dict)  #: tag -> key of its concurrency limit


class MemoryQueue:
    """One queue.

    Args:
        name: of the queue.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings = Settings()
        self.holdings: dict[str, Holding] = {}
        self._ready: tuple[deque[bytes], ...] = tuple(deque() for _ in range(MAX_PRIORITY + 1))
        self._fair: tuple[Fair, ...] = tuple(Fair() for _ in range(MAX_PRIORITY + 1))
        self.dropped = Holding(itertools.count(1))
        self.rate = Rate()
        self._delayed: list[tuple[int, int, bytes]] = []
        self._order = itertools.count()
        self._dead: deque[DeadLetter] = deque()
        self.in_flight = 0
        self.places = Places()
        self.deaths: deque[tuple[Death, frozenset[bytes]]] = deque(maxlen=DEATHS_MAX)
        self.forwarded: set[bytes] = set()
        self.agreed: dict[str, bytes] = {}
        self.ended = Holding(itertools.count(1))  #: what waited, and nobody was told yet that the queue ends
        self.ending: str | None = None  #: token of the janitor that ends it
        self.copied: set[str] = set()

    @property
    def ready(self) -> int:
        """The number of messages that wait for a worker."""
        return sum(map(len, self._ready)) + sum(map(len, self._fair))

    @property
    def takeable(self) -> bool:
        """Whether a cycle that wants a message would get one now."""
        return not self.settings.held and self._room(1) > 0 and self.ready > 0

    def put_back(self, payload: bytes) -> None:
        """Let a message wait behind the others of its priority."""
        digest = head.group(payload)
        if digest is None:
            self._ready[head.priority(payload)].append(payload)
        else:
            self._fair[head.priority(payload)].add(payload, digest, self.settings.weights.get(digest, 1))

    def put_front(self, payloads: Sequence[bytes]) -> None:
        """Let messages wait before all others of their priority, in the order given."""
        for payload in reversed(payloads):
            if head.group(payload) is None:
                self._ready[head.priority(payload)].appendleft(payload)
            else:
                self._fair[head.priority(payload)].add_in_front(payload)

    def delay(self, payload: bytes, due_ms: int) -> bool:
        """Let a message wait until it is due; return whether it is now the first to be due."""
        item = (due_ms, next(self._order), payload)
        heapq.heappush(self._delayed, item)
        return self._delayed[0] is item

    def delayed(self, limit: int) -> list[tuple[int, bytes]]:
        """Return delayed messages with when they are due (ms), the soonest first."""
        return [(due_ms, payload) for due_ms, _, payload in heapq.nsmallest(limit, self._delayed)]

    def undelay(self, payload: bytes) -> bool:
        """Take a message out of those that are delayed; return whether it was there."""
        left = [item for item in self._delayed if item[2] != payload]
        found = len(left) < len(self._delayed)
        if found:
            heapq.heapify(left)
            self._delayed = left
        return found

    @property
    def first_due_ms(self) -> float:
        """When the first delayed message is due, infinite without one."""
        return self._delayed[0][0] if self._delayed else math.inf

    def promote(self, now_ms: int) -> float | None:
        """Make due messages ready, at most `PROMOTE_LIMIT`; return seconds until the next is due, None without one."""
        for _ in range(PROMOTE_LIMIT):
            if not self._delayed or self._delayed[0][0] > now_ms:
                break
            self.put_back(heapq.heappop(self._delayed)[2])
        return max(0, self._delayed[0][0] - now_ms) / 1000 if self._delayed else None

    def take(self, holding: Holding, want: int) -> list[tuple[int, bytes]]:
        """Move up to ``want`` messages to an owner; a suspect one comes alone. Returns tags and messages."""
        taken: list[tuple[int, bytes]] = []
        room = 0 if self.settings.held else self._room(want)
        while len(taken) < room:
            priority = self._best()
            if priority is None:
                break
            ready, fair = self._ready[priority], self._fair[priority]
            from_list = bool(ready) and (not fair or fair.is_others_turn)
            alone = head.is_suspect(ready[0] if from_list else fair.head)
            if alone and taken:
                break
            if from_list and fair:
                fair.pass_over()
            tag = next(holding.tags)
            holding.messages[tag] = ready.popleft() if from_list else fair.pop()
            taken.append((tag, holding.messages[tag]))
            self.in_flight += 1
            if alone:
                break
        return taken

    def make_room(self, coming: int) -> tuple[list[bytes], int]:
        """Make room for messages to come, as the settings say.

        Returns: what was dropped for them, and how many of them are to be dropped themselves.

        Raises:
            QueueFull: there is no room.
        """
        bound, waiting = self.settings.max_length, self.ready + len(self._delayed) + self.places.parked
        if bound is None or waiting + coming <= bound:
            return [], 0
        if not self.settings.drop_oldest:
            raise QueueFull(full(self.name, coming, waiting, bound))
        excess = waiting + coming - bound
        return [self._drop_one() for _ in range(min(excess, waiting))], max(0, excess - waiting)

    def _drop_one(self) -> bytes:
        for ready, fair in zip(self._ready, self._fair, strict=True):
            if ready:
                return ready.popleft()
            if fair:
                return fair.pop_last()
        return heapq.heappop(self._delayed)[2]

    def keep_dropped(self, payloads: Iterable[bytes]) -> list[Delivery]:
        """Keep what was dropped until somebody has told those who wait for it."""
        kept = []
        for payload in payloads:
            tag = next(self.dropped.tags)
            self.dropped.messages[tag] = payload
            self.in_flight += 1
            kept.append(Delivery(self.name, tag, payload))
        return kept

    def _best(self) -> int | None:
        """Return the highest priority of which something waits."""
        for priority in range(MAX_PRIORITY, -1, -1):
            if self._ready[priority] or self._fair[priority]:
                return priority
        return None

    def release(self, holding: Holding, tag: int) -> bytes | None:
        """Take a message from its owner; None if the owner does not hold that tag."""
        payload = holding.messages.pop(tag, None)
        if payload is not None:
            self.in_flight -= 1
        return payload

    def release_all(self, holding: Holding) -> list[bytes]:
        """Take all messages from their owner; return them in the order in which it fetched them."""
        messages = [holding.messages[tag] for tag in sorted(holding.messages)]
        holding.messages.clear()
        self.in_flight -= len(messages)
        return messages

    def admit(self, holding: Holding, tag: int, ticket: Ticket, now: float) -> Admission:
        """Let a delivery run, or put its message aside until its limits allow it."""
        payload = holding.messages.get(tag)
        if payload is None:
            return Admission.GONE
        if tag in holding.places:
            return Admission.GO
        verdict = judge(self.places, ticket, payload, now)
        match verdict.admission:
            case Admission.PARKED:
                assert ticket.place is not None
                self.release(holding, tag)
                self.places.park(ticket.place, verdict.payload)
            case Admission.DELAYED:
                self.release(holding, tag)
                self.delay(verdict.payload, full_milliseconds(verdict.due))
            case Admission.GO:
                holding.messages[tag] = verdict.payload
                if ticket.place is not None:
                    holding.places[tag] = ticket.place
        return verdict.admission

    def free(self, holding: Holding, tag: int) -> bytes | None:
        """Free the place of a delivery, if it has one; return the message that may have it next."""
        key = holding.places.pop(tag, None)
        return None if key is None else self.places.free(key)

    def free_all(self, holding: Holding) -> None:
        """Free the places of an owner; what may have them next comes to the front."""
        woken = [self.free(holding, tag) for tag in list(holding.places)]
        self.put_front([payload for payload in woken if payload is not None])

    def bury(self, payload: bytes, reason: dict[str, Any], now: float) -> None:
        """Keep a message with the dead letters, as the settings say; drop those that are too old or too many."""
        if not self.settings.keep_dead:
            return
        self._dead.append(DeadLetter(now, reason, payload, b"%d" % next(self._order)))
        self.trim_dead(now)

    def trim_dead(self, now: float) -> int:
        """Drop the dead letters that are too old or too many; return how many there were."""
        before = len(self._dead)
        oldest = now - self.settings.dead_retention
        while self._dead and (self._dead[0].died <= oldest or len(self._dead) > self.settings.dead_max):
            self._dead.popleft()
        return before - len(self._dead)

    def dead(self, limit: int, offset: int, since: float | None, before: float | None) -> list[DeadLetter]:
        """Return dead letters, the newest first."""
        wanted = (
            replace(letter)
            for letter in reversed(self._dead)
            if (since is None or letter.died >= since) and (before is None or letter.died < before)
        )
        return list(itertools.islice(wanted, offset, offset + limit))

    def take_dead(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """Take letters out of the dead ones; return those that were there."""
        tokens = {letter.token for letter in letters}
        taken = [letter for letter in self._dead if letter.token in tokens]
        self._dead = deque(letter for letter in self._dead if letter.token not in tokens)
        return taken

    def put_aside(self, most: int) -> int:
        """Put some of what waits aside, since the queue ends; return how many messages."""
        found: list[bytes] = []
        for ready, fair in zip(self._ready, self._fair, strict=True):
            while ready and len(found) < most:
                found.append(ready.popleft())
            while fair and len(found) < most:
                found.append(fair.pop_last())
        while self._delayed and len(found) < most:
            found.append(heapq.heappop(self._delayed)[2])
        found += self.places.unpark(most - len(found))
        for payload in found:
            self.ended.messages[next(self.ended.tags)] = payload
        self.in_flight += len(found)
        return len(found)

    @property
    def has_nothing(self) -> bool:
        """Whether nothing waits, and nobody holds anything."""
        return not (self.ready or self._delayed or self.places.parked or self.in_flight)

    def purge(self) -> int:
        """Drop what waits; return how many messages that were."""
        self.places.drop_locks()
        dropped = self.ready + len(self._delayed) + self.places.clear_parked()
        self._delayed.clear()
        for ready in self._ready:
            ready.clear()
        for fair in self._fair:
            fair.clear()
        return dropped

    def take_waiting(self, most: int) -> list[bytes]:
        """Take out so many of the messages that wait, at the most."""
        taken: list[bytes] = []
        while len(taken) < most:
            if self.ready:
                taken.append(self._drop_one())
            elif self._delayed:
                taken.append(heapq.heappop(self._delayed)[2])
            elif self.places.parked:
                taken.append(self.places.take_parked())
            else:
                break
        return taken

    def info(self, now: float) -> QueueInfo:
        """Return a snapshot."""
        best = self._best()
        first = None if best is None else (self._ready[best][0] if self._ready[best] else self._fair[best].head)
        age = 0.0 if first is None else max(0.0, now - head.enqueued_ms(first) / 1000)
        return QueueInfo(
            name=self.name,
            ready=self.ready,
            delayed=len(self._delayed),
            in_flight=self.in_flight,
            dead=len(self._dead),
            oldest_age=age,
            held=self.settings.held,
            intake_open=self.settings.intake_open,
            parked=self.places.parked,
        )

    def _room(self, want: int) -> int:
        limit = self.settings.max_concurrency
        return want if limit is None else min(want, limit - self.in_flight)
