"""From the JSON of one shard to entries, queue settings and pools. Each entry stands for itself: a bad one is reported, the
rest is used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar, cast, get_args

from umbel import serialization
from umbel.beat.entry import Build, Call, ConcurrencyPolicy, Entry, RunIds, Stop, fingerprint_of
from umbel.message import DEFAULT_PRIORITY, Message
from umbel.rates import RateLimit
from umbel.schedules.build import build_trigger, parse_time
from umbel.schedules.errors import InvalidSchedule, UnknownTimeZone
from umbel.schedules.jitter import jitter_of
from umbel.schedules.slots import CatchUpPolicy, Rules

T = TypeVar("T")

log = logging.getLogger("umbel.beat")

#: What an edit may change without dropping what was missed.
_HARMLESS = frozenset(
    {
        "generation",
        "suspend",
        "manualTrigger",
        "successfulRunsHistoryLimit",
        "failedRunsHistoryLimit",
        "name",
        "namespace",
    }
)

#: What says when a schedule fires.
_TIMING = ("trigger", "jitterSeconds")


class InvalidDefinition(ValueError):
    """An entry of the directory cannot be used."""


@dataclass(frozen=True, slots=True)
class LoadError:
    """Why one entry is not used, as ``/v1/status`` shows it."""

    kind: str
    name: str
    uid: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class QueueDefinition:
    """One queue and its settings, in the words of `Broker.configure`; None = back to the default.

    ``purge`` is the uid of the TaskQueue with which the queue is to be deleted, None while it stays.
    """

    name: str
    settings: Mapping[str, Any]
    purge: str | None = None


#: Seconds that a pod takes to start, where a pool does not say.
START_LEAD = 30.0


@dataclass(frozen=True, slots=True)
class PoolDefinition:
    """One pool of workers: its queues, and how many tasks one of its pods runs at once."""

    name: str
    queues: tuple[str, ...]
    slots: int
    #: Seconds that a new pod takes to start: what falls due within them counts as load.
    lead: float = START_LEAD


@dataclass(slots=True)
class Definitions:
    """What a directory holds."""

    source: str = ""
    serial: int = 0
    schedules: dict[str, Entry] = field(default_factory=dict)
    queues: dict[str, QueueDefinition] = field(default_factory=dict)
    pools: dict[str, PoolDefinition] = field(default_factory=dict)
    errors: list[LoadError] = field(default_factory=list)

    def add(self, shard: object) -> None:
        """Take in one shard; what cannot be used goes to ``errors``."""
        if not isinstance(shard, Mapping):
            self.errors.append(LoadError("Shard", "", "", "InvalidDefinition", "a shard must be a JSON object"))
            return
        for body in _entries(shard, "schedules"):
            entry = self._try("Schedule", body, read_schedule)
            if entry is not None:
                self.schedules[entry.uid] = entry
        for body in _entries(shard, "queues"):
            queue = self._try("TaskQueue", body, read_queue)
            if queue is not None and not (queue.purge and queue.name in self.queues):
                self.queues[queue.name] = queue  # one that stays goes before one of the same name that is to be deleted
        for body in _entries(shard, "pools"):
            pool = self._try("WorkerPool", body, read_pool)
            if pool is not None:
                self.pools[pool.name] = pool

    def _try(self, kind: str, body: object, read: Callable[[Mapping[str, Any]], T]) -> T | None:
        about: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
        try:
            if not isinstance(body, Mapping):
                raise InvalidDefinition(f"an entry must be a JSON object, not {body!r:.60}")
            return read(body)
        except Exception as error:
            # Whatever is wrong with one entry, the others must load.
            name = about.get("resource") or about.get("name") or ""
            uid = about.get("uid") or ""
            reason, text = type(error).__name__, str(error)
            if not isinstance(error, InvalidDefinition | InvalidSchedule | UnknownTimeZone):
                log.exception("config.entry_failed", extra={"kind": kind, "entry": name})
                reason, text = InvalidDefinition.__name__, f"it cannot be read: {error!r}"
            self.errors.append(LoadError(kind, str(name), str(uid), reason, text))
            return None


def read_schedule(body: Mapping[str, Any]) -> Entry:
    """Return the entry of one Schedule.

    Raises:
        InvalidSchedule, UnknownTimeZone, InvalidDefinition: it cannot be used.
    """
    uid, name, queue = (_text(body, key) for key in ("uid", "name", "queue"))
    jitter = _number(body, "jitterSeconds", 0, 3600) or 0
    deadline = _number(body, "startingDeadlineSeconds", 1)
    catch_up = _object(body, "catchUp")
    kept = [_number(body, f"{kind}RunsHistoryLimit", 0, 1000) for kind in ("successful", "failed")]
    definition = {key: value for key, value in body.items() if key not in _HARMLESS}
    timing = {key: definition.pop(key, None) for key in _TIMING}
    return Entry(
        uid=uid,
        name=name,
        trigger=build_trigger(_object(body, "trigger"), uid),
        rules=Rules(
            catch_up=cast(CatchUpPolicy, _choice(catch_up, "policy", get_args(CatchUpPolicy), "Latest")),
            max_runs=_number(catch_up, "maxRuns", 1, 100) or 1,
            starting_deadline=None if deadline is None else timedelta(seconds=deadline),
            jitter=jitter_of(uid, jitter),
        ),
        build=_build_of(_object(body, "task"), queue),
        fingerprint=f"{fingerprint_of(timing)}.{fingerprint_of(definition)}",
        policy=cast(ConcurrencyPolicy, _choice(body, "concurrencyPolicy", get_args(ConcurrencyPolicy), "Allow")),
        suspended=body.get("suspend") is True,
        stop=_stop(body.get("stop")),
        keep_succeeded=3 if kept[0] is None else kept[0],
        keep_failed=3 if kept[1] is None else kept[1],
        manual=_text(body, "manualTrigger") if body.get("manualTrigger") else None,
    )


def read_queue(body: Mapping[str, Any]) -> QueueDefinition:
    """Return the settings of one TaskQueue, those that are unset as None.

    Raises:
        InvalidDefinition: it cannot be used.
    """
    settings = _object(body, "settings")
    dead = _object(settings, "deadLetter")
    policy = _choice(dead, "policy", ("Keep", "Discard", "Forward"), "Keep")
    return QueueDefinition(
        _text(body, "name"),
        {
            "intake": _choice(settings, "intake", ("Accept", "Reject"), "Accept"),
            "dispatch": _choice(settings, "dispatch", ("Enabled", "Held"), "Enabled"),
            "max_concurrency": _number(settings, "maxConcurrency", 1),
            "max_length": _number(settings, "maxLength", 1),
            "overflow": _choice(settings, "overflowPolicy", ("Reject", "DropOldest"), "Reject")
            if settings.get("maxLength") is not None
            else None,
            "rate_limit": _rate(_object(settings, "rateLimit")),
            "max_deliveries": _number(settings, "maxDeliveries", 1),
            "dead_policy": policy,
            "dead_forward": _text(dead, "queue") if policy == "Forward" else None,
            "dead_retention": _number(dead, "retentionSeconds", 0),
            "task_defaults": _task_defaults(_object(settings, "taskDefaults")),
        },
        _text(body, "purge") if body.get("purge") else None,
    )


def read_pool(body: Mapping[str, Any]) -> PoolDefinition:
    """Return one WorkerPool.

    Raises:
        InvalidDefinition: it cannot be used.
    """
    queues = body.get("queues")
    if not isinstance(queues, list) or not all(isinstance(name, str) for name in queues):
        raise InvalidDefinition(f"queues must be a list of names, not {queues!r}")
    lead = _number(body, "startupLeadSeconds", 0)
    return PoolDefinition(
        _text(body, "name"),
        tuple(queues),
        _number(body, "slots", 1) or 1,
        START_LEAD if lead is None else float(lead),
    )


def _build_of(task: Mapping[str, Any], queue: str) -> Build:
    """Return what makes the messages of a task as a Schedule declares it."""
    name = _text(task, "name")
    args, kwargs = task.get("args") or [], task.get("kwargs") or {}
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise InvalidDefinition("task.args must be a list and task.kwargs an object")
    headers: dict[str, Any] = {"task": name}
    for key, header in (("expiresSeconds", "expires"), ("maxRetries", "max_retries")):
        value = _number(task, key, 0)
        if value is not None:
            headers[header] = value
    limit = _number(task, "timeLimitSeconds", 1)
    if limit is not None:
        headers["timelimit"] = [limit, None]
    priority = _number(task, "priority", 0, 9)
    body = serialization.json.encode((args, kwargs))

    def build(ids: RunIds, uid: str) -> Call:
        message = Message(
            {**headers, "id": ids.task, "schedule": uid, "run": ids.run},
            body,
            DEFAULT_PRIORITY if priority is None else priority,
        )
        return Call(queue, message.encode())

    return build


def _stop(value: object) -> Stop:
    if value is None:
        return Stop()
    if not isinstance(value, Mapping):
        raise InvalidDefinition(f"stop must be an object, not {value!r}")
    after = value.get("afterTime")
    return Stop(
        None if after is None else parse_time(after, "stop.afterTime"),
        _number(value, "maxRuns", 1),
        _number(value, "maxConsecutiveFailures", 1),
    )


def _task_defaults(given: Mapping[str, Any]) -> dict[str, Any] | None:
    found = {
        "time_limit": _number(given, "timeLimitSeconds", 1),
        "max_retries": _number(given, "maxRetries", 0),
        "result_ttl": _number(given, "resultTTLSeconds", 1),
    }
    return {name: value for name, value in found.items() if value is not None} or None


def _rate(limit: Mapping[str, Any]) -> RateLimit | None:
    tasks = _number(limit, "tasks", 1)
    return (
        None if tasks is None else RateLimit(tasks, _number(limit, "periodSeconds", 1) or 1, _number(limit, "burst", 1))
    )


def _entries(shard: Mapping[str, Any], section: str) -> list[Any]:
    found = shard.get(section)
    return found if isinstance(found, list) else []


def _object(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidDefinition(f"{key} must be an object, not {value!r:.60}")
    return value


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidDefinition(f"{key} must be a text that is not empty, not {value!r:.60}")
    return value


def _number(body: Mapping[str, Any], key: str, low: int, high: int | None = None) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        upper = "" if high is None else f" to {high}"
        raise InvalidDefinition(f"{key} must be a whole number from {low}{upper}, not {value!r:.60}")
    return value


def _choice(body: Mapping[str, Any], key: str, choices: tuple[str, ...], default: str) -> str:
    value = body.get(key)
    if value is None:
        return default
    if value not in choices:
        raise InvalidDefinition(f"{key} must be one of {', '.join(choices)}, not {value!r:.60}")
    return cast(str, value)
