"""The body of ``GET /v1/status``: every beat can tell it, from Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from umbel.beat.definitions import Definitions, LoadError
from umbel.beat.entry import Entry, from_ms
from umbel.beat.pools import pool_states
from umbel.beat.redisstate import RedisState
from umbel.beat.track import take_up
from umbel.broker.base import Broker, ConnectionLost, Liveness, QueueInfo
from umbel.clock import Clock
from umbel.errors import OperationalError
from umbel.queues import is_own
from umbel.redis.schedules import ScheduleStore, StoredState

#: Seconds for which an answer is given again.
KEEP_ANSWER = 1.0


class StatusBoard:
    """Gathers the status. Thread-safe.

    Args:
        store, broker: Redis.
        clock: wall clock and monotonic time.
        entries: returns all schedules in use, by uid.
        definitions: returns what the directory holds.
        errors: returns what of it is not in use.
        leading: tells whether this beat leads.
        redis: returns how Redis is.
        purged: returns, of the queues that it is given, those that were deleted with their TaskQueue, and its uid.
    """

    def __init__(
        self,
        store: ScheduleStore,
        broker: Broker,
        clock: Clock,
        *,
        entries: Callable[[], Mapping[str, Entry]],
        definitions: Callable[[], Definitions],
        errors: Callable[[], list[LoadError]],
        leading: Callable[[], bool],
        redis: Callable[[], RedisState],
        purged: Callable[[Sequence[str]], Mapping[str, str]] = lambda queues: {},
    ) -> None:
        self._store = store
        self._broker = broker
        self._clock = clock
        self._entries = entries
        self._definitions = definitions
        self._errors = errors
        self._leading = leading
        self._redis = redis
        self._purged = purged
        self._liveness: Liveness = broker.liveness()
        self._lock = threading.Lock()
        self._answer: dict[str, Any] = {}
        self._answered = float("-inf")

    def get(self) -> dict[str, Any]:
        """Return the status; what Redis would have to tell is left out while it is away."""
        with self._lock:
            if self._clock.monotonic() - self._answered >= KEEP_ANSWER:
                self._answer = self._gather()
                self._answered = self._clock.monotonic()
            return self._answer

    def close(self) -> None:
        """Drop the connection."""
        self._liveness.close()

    def _gather(self) -> dict[str, Any]:
        redis, serial = self._redis(), self._definitions().serial
        status: dict[str, Any] = {
            "leader": self._leading(),
            "loadedRevision": str(serial) if serial else "",
            "loadErrors": [
                {"kind": e.kind, "name": e.name, "uid": e.uid, "reason": e.reason, "message": e.message}
                for e in self._errors()
            ],
            "redis": {"ok": redis.ok, "version": redis.version, "error": redis.error, "reason": redis.reason},
            "schedules": {},
            "queues": {},
            "pools": {},
        }
        if redis.ok:
            try:
                status["schedules"] = self._schedules()
                infos = self._queues()
                status["queues"] = {name: queue_state(info) for name, info in infos.items()}
                self._add_purged(status["queues"])
                status["pools"] = self._pools(infos)
            except (OperationalError, ConnectionLost) as error:
                status["redis"].update(ok=False, error=str(error), reason="ConnectionRefused")
        return status

    def _schedules(self) -> dict[str, Any]:
        entries, now = self._entries(), datetime.fromtimestamp(self._clock.time(), UTC)
        states = self._store.load(entries)
        return {uid: schedule_state(entry, states[uid], now) for uid, entry in entries.items()}

    def _queues(self) -> dict[str, QueueInfo]:
        shared = (name for name in self._broker.queues() if not is_own(name))  # those come and go with their workers
        names = {*shared, *self._definitions().queues}
        return {name: self._broker.info(name) for name in sorted(names)}

    def _add_purged(self, states: dict[str, Any]) -> None:
        """Say of the queues that are to be deleted which of them are gone."""
        wanted = {name: queue.purge for name, queue in self._definitions().queues.items() if queue.purge}
        for name, uid in self._purged(list(wanted)).items():
            if wanted[name] == uid:
                states[name]["purged"] = uid

    def _pools(self, infos: Mapping[str, QueueInfo]) -> dict[str, Any]:
        owners = self._liveness.owners()
        pairs = [(queue, owner.id) for owner in owners for queue in owner.queues]
        held: dict[str, int] = {}
        for (_, owner_id), count in zip(pairs, self._store.held_counts(pairs), strict=True):
            held[owner_id] = held.get(owner_id, 0) + count
        pools = self._definitions().pools
        due: dict[tuple[str, float], int] = {}
        for lead in {pool.lead for pool in pools.values()}:
            names = sorted({queue for pool in pools.values() if pool.lead == lead for queue in pool.queues})
            counts = self._store.due_counts(names, lead)
            due.update({(name, lead): count for name, count in zip(names, counts, strict=True)})
        return pool_states(pools, infos, due, owners, held)


def queue_state(info: QueueInfo) -> dict[str, Any]:
    """Return the object of one queue."""
    return {
        "ready": info.ready,
        "delayed": info.delayed,
        "parked": info.parked,
        "inFlight": info.in_flight,
        "dead": info.dead,
        "oldestAgeSeconds": int(info.oldest_age),
    }


def schedule_state(entry: Entry, stored: StoredState, now: datetime) -> dict[str, Any]:
    """Return the object of one schedule."""
    track = take_up(entry, stored, None, now)
    stopped = track.stopped or _bound_reached(entry, stored)
    upcoming = None if stopped is not None else track.next_slot(entry)
    return {
        "lastScheduleTime": _time(stored.number("last")),
        "lastEnqueueTime": _time(stored.number("enqueued")),
        "lastTaskID": stored.fields.get("task"),
        "nextScheduleTime": None if upcoming is None else _text(upcoming),
        "lastSuccessfulTime": _time(stored.number("succeeded")),
        "activeRuns": stored.active,
        "missedRuns": stored.number("missed") or 0,
        "skippedRuns": stored.number("skipped") or 0,
        "consecutiveFailures": stored.number("failures") or 0,
        "lastHandledTrigger": stored.fields.get("handled"),
        "stopped": stopped,
    }


def _bound_reached(entry: Entry, stored: StoredState) -> str | None:
    """Return why a schedule will not fire again although nothing has tried yet."""
    stop = entry.stop
    if stop.max_runs is not None and (stored.number("started") or 0) >= stop.max_runs:
        return "MaxRuns"
    if stop.max_failures is not None and (stored.number("failures") or 0) >= stop.max_failures:
        return "MaxConsecutiveFailures"
    return None


def _time(ms: int | None) -> str | None:
    return None if ms is None else _text(from_ms(ms))


def _text(t: datetime) -> str:
    return t.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
