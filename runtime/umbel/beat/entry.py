"""One schedule as beat runs it, wherever it was declared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import orjson

from umbel.schedules.interval import Every
from umbel.schedules.slots import Rules
from umbel.schedules.trigger import Trigger

#: Seconds that a run is remembered at the least, so that it is not enqueued again.
LEAST_RUN_MEMORY = 86400.0

ConcurrencyPolicy = Literal["Allow", "Forbid", "Replace"]


@dataclass(frozen=True, slots=True)
class RunIds:
    """The ids of one run: its own, and that of its task."""

    run: str
    task: str


@dataclass(frozen=True, slots=True)
class Call:
    """One encoded message and where it goes; ``delay`` in seconds."""

    queue: str
    payload: bytes
    delay: float = 0.0


#: Makes the message of a run: (ids, schedule uid) -> call.
Build = Callable[[RunIds, str], Call]


@dataclass(frozen=True, slots=True)
class Stop:
    """When a schedule ends by itself; None for never."""

    after: datetime | None = None
    max_runs: int | None = None
    max_failures: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One schedule.

    Args:
        uid: never used for another one.
        name: for messages.
        trigger: when it fires.
        rules: what to do about late slots.
        build: makes the message of a run.
        fingerprint: changes when the schedule is edited in a way that drops what was missed; up to a dot, only when
            that changes when it fires.
        policy: what to do while another run has not ended.
        suspended: it does not fire.
        stop: when it ends by itself.
        keep_succeeded, keep_failed: how many runs the history keeps.
        manual: a token; each new one causes one run at once.
    """

    uid: str
    name: str
    trigger: Trigger
    rules: Rules
    build: Build
    fingerprint: str
    policy: ConcurrencyPolicy = "Allow"
    suspended: bool = False
    stop: Stop = Stop()
    keep_succeeded: int = 3
    keep_failed: int = 3
    manual: str | None = None

    def fires_as(self, fingerprint: str) -> bool:
        """Tell whether the schedule with this fingerprint fires at the same moments."""
        return fingerprint.partition(".")[0] == self.fingerprint.partition(".")[0]

    def trigger_from(self, cursor: datetime) -> Trigger:
        """Return the slots that follow ``cursor``: an interval that counts from the last run begins there."""
        return self.trigger.anchored(cursor) if isinstance(self.trigger, Every) else self.trigger


def run_ids(uid: str, *what: object) -> RunIds:
    """Return the ids of a run: the same for the same schedule and slot (or token), whoever computes them."""
    digest = hashlib.sha1(":".join([uid, *map(str, what)]).encode(), usedforsecurity=False).hexdigest()
    return RunIds(digest, task_of(digest))


def task_of(run_id: str) -> str:
    """Return the id of a run's task, which is made from the run's."""
    return f"{run_id[:8]}-{run_id[8:12]}-{run_id[12:16]}-{run_id[16:20]}-{run_id[20:32]}"


def slot_ids(uid: str, slot: datetime) -> RunIds:
    """Return the ids of the run for a slot."""
    seconds = slot.timestamp()
    return run_ids(uid, int(seconds) if seconds == int(seconds) else f"{seconds:.3f}")


def run_memory(period: timedelta) -> float:
    """Return for how many seconds a run is remembered: two periods, at least a day."""
    return max(2 * period.total_seconds(), LEAST_RUN_MEMORY)


def fingerprint_of(definition: object) -> str:
    """Return a short hash of a JSON-able definition."""
    raw = orjson.dumps(definition, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest()[:16]


def to_ms(t: datetime) -> int:
    """Return milliseconds since the Unix epoch."""
    return int((t - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))


def from_ms(ms: int) -> datetime:
    """Return the moment of milliseconds since the Unix epoch."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
