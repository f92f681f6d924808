"""Schedules on Redis: who leads, which runs were enqueued and how they ended, and how far each schedule was dealt with.

What makes a run unique lives in the queue's slot, in the same script as the push; the schedule's own slot holds a mirror of it,
written after. beat writes through `ScheduleStore`; workers report the ends of runs through `record_run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from umbel.clock import full_milliseconds
from umbel.errors import LayoutError, OperationalError
from umbel.redis import keys
from umbel.redis.connection import Argument, ConnectionBroken, RedisConnection
from umbel.redis.endpoint import Endpoint
from umbel.redis.pool import Pool
from umbel.redis.runs import KEEP_STATE, record_run
from umbel.redis.scripts import Script

T = TypeVar("T")

#: Schedules that are read in one go.
READ_CHUNK = 500

_lead = Script("schedule_lead")
_release = Script("schedule_release")
_begin = Script("schedule_begin")
_drop = Script("schedule_drop")
_enqueue = Script("schedule_enqueue")
_advance = Script("schedule_advance")


@dataclass(slots=True)
class StoredState:
    """What Redis knows of one schedule. ``fields`` as `ScheduleStore.advance_many` wrote them; ``active`` run ids."""

    fields: dict[str, str] = field(default_factory=dict)
    active: int = 0

    def number(self, name: str) -> int | None:
        """Return a whole number, None where it is absent."""
        return int(self.fields[name]) if name in self.fields else None


@dataclass(frozen=True, slots=True)
class Begun:
    """The answer to `ScheduleStore.begin`.

    ``status`` is ``begun``, ``noted`` (before), ``ended`` (it ran), ``forbidden`` (another is active) or ``stopped``;
    ``details`` are the other active run ids, or the reason to stop.
    """

    status: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The answer to `ScheduleStore.enqueue`: ``ok``, ``duplicate``, ``stale``, ``closed`` or ``full``.

    ``now_ms`` is Redis's clock for ``ok``; ``highest`` is the epoch that the queue has seen, for ``stale``.
    """

    status: str
    now_ms: int = 0
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """A run to be noted with its schedule.

    Args:
        uid: of the schedule.
        run_id: of the run.
        note: a JSON object that the history keeps, such as task id and scheduled time.
        ttl: seconds.
        policy: ``Forbid`` refuses while another run is active.
        counted: it counts for ``max_runs`` and obeys both bounds.
        max_runs, max_failures: bounds on runs in all and on failures in a row, None for none.
    """

    uid: str
    run_id: str
    note: Mapping[str, Any]
    ttl: float
    policy: str = "Allow"
    counted: bool = True
    max_runs: int | None = None
    max_failures: int | None = None

    def arguments(self) -> tuple[Argument, ...]:
        """Return the ARGV of ``schedule_begin``."""
        return (
            self.run_id,
            orjson.dumps(self.note)[1:-1],
            self.policy,
            int(self.counted),
            "" if self.max_runs is None else self.max_runs,
            "" if self.max_failures is None else self.max_failures,
            int(max(self.ttl, KEEP_STATE) * 1000),
        )


@dataclass(frozen=True, slots=True)
class Push:
    """A run to be enqueued.

    Args:
        queue: its name.
        run_id: of the run.
        payload: the encoded message.
        task_id: of the message.
        ttl: seconds that the run is remembered.
        delay: seconds until it may be fetched.
    """

    queue: str
    run_id: str
    payload: bytes
    task_id: str
    ttl: float
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a schedule was dealt with.

    Args:
        uid: of the schedule.
        cursor_ms: up to which moment, in milliseconds since the Unix epoch.
        fields: others to write; None deletes.
        ttl: seconds.
        missed, skipped: slots to add to these counts.
    """

    uid: str
    cursor_ms: int
    fields: Mapping[str, str | int | None]
    ttl: float
    missed: int = 0
    skipped: int = 0

    def arguments(self) -> list[Argument]:
        """Return the ARGV of ``schedule_advance``."""
        arguments: list[Argument] = [self.cursor_ms, int(max(self.ttl, KEEP_STATE) * 1000), self.missed, self.skipped]
        for name, value in self.fields.items():
            arguments += (name, "" if value is None else value)
        return arguments


class ScheduleStore:
    """beat's side of schedules on Redis. Thread-safe. Every call may be repeated, and is, within the deadline.

    Args:
        endpoint: where Redis is.
        prefix: of all keys.
        deadline: seconds for one call, tries included.

    All calls raise OperationalError when Redis cannot be reached in time.
    """

    def __init__(self, endpoint: Endpoint, prefix: str, deadline: float = 2.0) -> None:
        self._prefix = prefix
        self._pool = Pool(endpoint, deadline)

    def _run(self, work: Callable[[RedisConnection], T]) -> T:
        try:
            return self._pool.run(work, repeat=True)
        except ConnectionBroken as error:
            raise OperationalError(f"the connection to Redis broke: {error}") from error

    # Leading

    def lead(self, source: str, token: str, ttl: float, floor: int = 0, held: int = 0) -> int | None:
        """Become or stay the leader of a source.

        Args:
            source: of schedules.
            token: names this beat, and no other.
            ttl: seconds after which the lead is lost without a further call.
            floor: the epoch must be higher than this.
            held: the epoch that this beat believes to lead in; if the lock is gone nonetheless, the next one is higher.

        Returns: the epoch, None while another beat leads.
        """
        names = (keys.beat_lock(self._prefix, source), keys.beat_epoch(self._prefix, source))
        epoch = int(self._run(lambda connection: _lead(connection, names, (token, int(ttl * 1000), floor, held))))
        return epoch or None

    def release(self, source: str, token: str) -> None:
        """Give the lead up, if it is ours."""
        names = (keys.beat_lock(self._prefix, source),)
        self._run(lambda connection: _release(connection, names, (token,)))

    # Running

    def begin(
        self,
        uid: str,
        run_id: str,
        note: Mapping[str, Any],
        *,
        ttl: float,
        policy: str = "Allow",
        counted: bool = True,
        max_runs: int | None = None,
        max_failures: int | None = None,
    ) -> Begun:
        """Note a run with its schedule, before it is enqueued; see `Note`."""
        return self.begin_many([Note(uid, run_id, note, ttl, policy, counted, max_runs, max_failures)])[0]

    def begin_many(self, notes: Sequence[Note]) -> list[Begun]:
        """Note runs with their schedules, in one go."""
        calls = [(keys.schedule(self._prefix, note.uid)[:3], note.arguments()) for note in notes]
        answers = self._run(lambda connection: _begin.run_many(connection, calls))
        return [Begun(status.decode(), tuple(map(bytes.decode, details))) for status, *details in answers]

    def drop(self, uid: str, run_ids: Sequence[str], *, counted: bool = False) -> int:
        """Take back runs that were noted and whose messages are not there; return how many were noted."""
        own = keys.schedule(self._prefix, uid)
        return int(self._run(lambda connection: _drop(connection, (own.state, own.runs), (int(counted), *run_ids))))

    def enqueue_many(self, pushes: Sequence[Push], *, source: str, epoch: int) -> list[Enqueued]:
        """Enqueue runs, each once, however often this is called and by whom.

        Args:
            pushes: the runs.
            source, epoch: of the leader that calls.

        Raises:
            LayoutError: a newer Umbel works on one of the queues.
        """
        calls = [self._enqueuing(push, source, epoch) for push in pushes]
        queues = {push.queue for push in pushes}

        def work(connection: RedisConnection) -> list[Any]:
            connection.call(b"SADD", keys.queue_names(self._prefix), *queues)
            return _enqueue.run_many(connection, calls)

        answers = self._run(work)
        return [_enqueued(push.queue, answer) for push, answer in zip(pushes, answers, strict=True)]

    def _enqueuing(self, push: Push, source: str, epoch: int) -> tuple[Sequence[str], Sequence[Argument]]:
        own = keys.queue(self._prefix, push.queue)
        names = (own.meta, own.bell, own.eta, keys.run(self._prefix, push.queue, push.run_id), *own.ready)
        names += (own.fair, own.clocks, own.inflight, own.dropped, own.park)
        life, delay = int(push.ttl * 1000), full_milliseconds(push.delay)
        return names, (keys.LAYOUT, source, epoch, life, push.task_id, push.payload, delay)

    def advance_many(self, made: Sequence[Progress]) -> list[bool]:
        """Write down how far schedules were dealt with, each unless a later cursor stands there; False for those."""
        calls = [(keys.schedule(self._prefix, one.uid), one.arguments()) for one in made]
        return [answer == 1 for answer in self._run(lambda connection: _advance.run_many(connection, calls))]

    def record(self, uid: str, run_id: str, state: str) -> bool:
        """Write the end of a run; see `record_run`."""
        return self._run(lambda connection: record_run(connection, self._prefix, uid, run_id, state))

    # Looking

    def load(self, uids: Iterable[str]) -> dict[str, StoredState]:
        """Return what Redis knows of these schedules; an empty state for one that it does not know."""
        wanted = list(uids)
        found: dict[str, StoredState] = {}
        for start in range(0, len(wanted), READ_CHUNK):
            chunk = wanted[start : start + READ_CHUNK]
            commands: list[tuple[Argument, ...]] = []
            for uid in chunk:
                own = keys.schedule(self._prefix, uid)
                commands += ((b"HGETALL", own.state), (b"HLEN", own.runs))
            answers = self._read(commands)
            for index, uid in enumerate(chunk):
                flat, active = answers[2 * index], answers[2 * index + 1]
                pairs = zip(flat[::2], flat[1::2], strict=True)
                found[uid] = StoredState({name.decode(): value.decode() for name, value in pairs}, int(active))
        return found

    def active(self, uid: str) -> dict[str, dict[str, Any]]:
        """Return the runs that have not ended, with what `begin` noted of each, by run id."""
        name = keys.schedule(self._prefix, uid).runs
        flat = self._run(lambda connection: connection.call(b"HGETALL", name))
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return {run.decode(): orjson.loads(b"{" + note + b"}") for run, note in pairs}

    def was_enqueued(self, queue: str, run_id: str) -> bool:
        """Return whether the run is remembered as enqueued."""
        name = keys.run(self._prefix, queue, run_id)
        return bool(self._run(lambda connection: connection.call(b"EXISTS", name)))

    def enqueued(self, queue: str, run_ids: Sequence[str]) -> set[str]:
        """Return those runs that are remembered as enqueued."""
        names = [keys.run(self._prefix, queue, run_id) for run_id in run_ids]
        answers = self._run(lambda connection: connection.call(b"MGET", *names)) if names else []
        return {run_id for run_id, answer in zip(run_ids, answers, strict=True) if answer is not None}

    def history(self, uid: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the runs that succeeded and those that did not, the newest first."""
        own = keys.schedule(self._prefix, uid)
        lists = self._read([(b"LRANGE", own.succeeded, 0, -1), (b"LRANGE", own.failed, 0, -1)])
        succeeded, failed = ([orjson.loads(raw) for raw in entries] for entries in lists)
        return succeeded, failed

    def serials(self, queues: Sequence[str]) -> dict[str, int | None]:
        """Return the serial of the settings that each queue has, None where it has none."""
        commands: list[tuple[Argument, ...]] = [
            (b"HGET", keys.queue(self._prefix, name).meta, b"serial") for name in queues
        ]
        return {name: None if raw is None else int(raw) for name, raw in zip(queues, self._read(commands), strict=True)}

    def held_counts(self, pairs: Sequence[tuple[str, str]]) -> list[int]:
        """Return how many messages each (queue, owner) holds."""
        commands: list[tuple[Argument, ...]] = [
            (b"HLEN", keys.owned(self._prefix, queue, owner)) for queue, owner in pairs
        ]
        return [max(0, int(length) - 1) for length in self._read(commands)]

    def due_counts(self, queues: Sequence[str], within: float) -> list[int]:
        """Return how many delayed messages of each queue fall due within so many seconds."""
        if not queues:
            return []
        now = self._run(lambda connection: connection.call(b"TIME"))
        until = int(now[0]) * 1000 + int(within * 1000)
        commands: list[tuple[Argument, ...]] = [
            (b"ZCOUNT", keys.queue(self._prefix, name).eta, b"-inf", until) for name in queues
        ]
        return [int(count) for count in self._read(commands)]

    def close(self) -> None:
        """Drop the connections."""
        self._pool.close()

    def _read(self, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
        return self._run(lambda connection: connection.call_many(commands)) if commands else []


def _enqueued(queue: str, answer: Any) -> Enqueued:
    status, detail = answer
    if status == b"layout":
        raise LayoutError(
            f"the keys of queue {queue!r} have layout version {int(detail)}, this Umbel knows version {keys.LAYOUT}: "
            "a newer Umbel works on this Redis, upgrade beat"
        )
    if status == b"ok":
        return Enqueued("ok", now_ms=int(detail))
    if status == b"stale":
        return Enqueued("stale", highest=int(detail))
    return Enqueued(status.decode())
