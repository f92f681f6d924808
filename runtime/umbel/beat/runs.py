"""Enqueue one run of a schedule, once: note it, push it in the queue's slot, and say what came of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from umbel.beat.entry import Call, Entry, RunIds, run_ids, slot_ids, task_of, to_ms
from umbel.beat.lease import Lease
from umbel.broker.base import QueueInfo
from umbel.redis.schedules import ScheduleStore
from umbel.states import REVOKED

log = logging.getLogger("umbel.beat")

#: Milliseconds after which a run that is noted, and of which its queue knows nothing, counts as gone.
LOST_AFTER_MS = 10_000
#: Runs of one schedule that are looked for at a time.
MOST_LOST = 1000


class Outcome(StrEnum):
    """What came of a slot."""

    ENQUEUED = "enqueued"
    DEDUPLICATED = "deduplicated"  #: it had been enqueued before
    FORBIDDEN = "skipped_forbid"  #: another run has not ended
    CLOSED = "closed"  #: the queue takes no new tasks, or is full
    STOPPED = "stopped"  #: the schedule has ended by itself
    UNSENDABLE = "unsendable"  #: its message could not be made


class LeadLost(Exception):
    """Another beat leads now: drop everything, and begin again from Redis."""


class QueueSide(Protocol):
    """What of a broker runs need besides the store."""

    def info(self, queue: str) -> QueueInfo: ...

    def revoke(self, task_ids: Sequence[str], *, terminate: bool = False) -> int: ...


class Runs:
    """Enqueues runs in the name of one leader.

    Args:
        store: Redis.
        broker: for Replace, and to see whether a queue is empty.
        lease: the lead in whose name runs are enqueued.
    """

    def __init__(self, store: ScheduleStore, broker: QueueSide, lease: Lease) -> None:
        self._store = store
        self._broker = broker
        self._lease = lease

    def enqueue_slot(self, entry: Entry, slot: datetime, memory: float) -> tuple[Outcome, str]:
        """Enqueue the run for a slot; ``memory`` in seconds.

        Returns: what came of it, and the task's id (for STOPPED: the reason).

        Raises:
            LeadLost: another beat leads.
            OperationalError: Redis cannot be reached; to be repeated.
        """
        ids = slot_ids(entry.uid, slot)
        return self._enqueue(entry, ids, to_ms(slot), memory, counted=True)

    def enqueue_manual(self, entry: Entry, token: str, memory: float) -> tuple[Outcome, str]:
        """Enqueue the run that a manual token asks for, whatever else is active; see `enqueue_slot`."""
        ids = run_ids(entry.uid, "manual", token)
        return self._enqueue(entry, ids, int(time.time() * 1000), memory, counted=False)

    def _enqueue(
        self, entry: Entry, ids: RunIds, scheduled_ms: int, memory: float, *, counted: bool
    ) -> tuple[Outcome, str]:
        try:
            call = entry.build(ids, entry.uid)
        except Exception:
            log.exception("beat.message_failed", extra={"schedule": entry.name})
            return Outcome.UNSENDABLE, ids.task
        noted = self._note(entry, ids, scheduled_ms, memory, counted, call.queue)
        if noted is not None:
            return noted
        if not self._lease.valid:
            raise LeadLost
        answer = self._store.enqueue(
            call.queue,
            ids.run,
            call.payload,
            source=self._lease.source,
            epoch=self._lease.epoch,
            task_id=ids.task,
            ttl=memory,
            delay=call.delay,
        )
        if answer.status == "stale":
            self._step_back(entry, ids, call, answer.highest, counted)
        if answer.status in ("closed", "full"):
            self._store.drop(entry.uid, [ids.run], counted=counted)
            log.warning(f"beat.queue_{answer.status}", extra={"schedule": entry.name, "queue": call.queue})
            return Outcome.CLOSED, ids.task
        return (Outcome.ENQUEUED if answer.status == "ok" else Outcome.DEDUPLICATED), ids.task

    def _note(
        self, entry: Entry, ids: RunIds, scheduled_ms: int, memory: float, counted: bool, queue: str
    ) -> tuple[Outcome, str] | None:
        """Note the run with its schedule; return what came of it where it is not to be enqueued."""
        for attempt in (1, 2):
            begun = self._store.begin(
                entry.uid,
                ids.run,
                {"task": ids.task, "queue": queue, "scheduled": scheduled_ms, "begun": int(time.time() * 1000)},
                ttl=memory,
                policy=entry.policy if counted else "Allow",
                counted=counted,
                max_runs=entry.stop.max_runs,
                max_failures=entry.stop.max_failures,
            )
            if begun.status != "forbidden" or attempt == 2 or not self.forget_lost([entry.uid]):
                break
        if begun.status == "forbidden":
            return Outcome.FORBIDDEN, ids.task
        if begun.status == "stopped":
            return Outcome.STOPPED, begun.details[0]
        if begun.status == "ended":
            return Outcome.DEDUPLICATED, ids.task
        if begun.status == "begun" and entry.policy == "Replace" and counted and begun.details:
            self._broker.revoke([task_of(run) for run in begun.details], terminate=True)
        return None

    def forget_lost(self, uids: Iterable[str]) -> int:
        """Forget the runs of these schedules that cannot be anywhere.

        One that was noted and never enqueued is dropped: the beat that noted it died. One that was enqueued and whose queue is
        empty ends as revoked: the queue was purged.

        Returns: how many there were.
        """
        empty: dict[str, bool] = {}
        found = 0
        for uid, state in self._store.load(uids).items():
            for queue, runs in _by_queue(self._store.active(uid) if state.active else {}).items():
                sent = self._store.enqueued(queue, runs)
                if sent and queue not in empty:
                    info = self._broker.info(queue)
                    empty[queue] = not (info.ready or info.delayed or info.in_flight)
                lost = [run for run in runs if run not in sent or empty[queue]]
                for run in lost:
                    log.warning("schedule.run_lost", extra={"schedule": uid, "run": run, "queue": queue})
                    if run in sent:
                        self._store.record(uid, run, REVOKED)
                    else:
                        self._store.drop(uid, [run])
                found += len(lost)
        return found

    def _step_back(self, entry: Entry, ids: RunIds, call: Call, highest: int, counted: bool) -> None:
        """A queue has seen a later leader: take the note back unless that leader enqueued the run."""
        if not self._store.was_enqueued(call.queue, ids.run):
            self._store.drop(entry.uid, [ids.run], counted=counted)
        self._lease.overtaken(highest)
        raise LeadLost


def _by_queue(active: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return queue -> runs, of those that were noted long enough ago; the oldest of them where there are many."""
    before = int(time.time() * 1000) - LOST_AFTER_MS
    old = [(int(note.get("begun", 0)), run, str(note.get("queue", ""))) for run, note in active.items()]
    found: dict[str, list[str]] = {}
    for begun, run, queue in sorted(old)[:MOST_LOST]:
        if begun < before:
            found.setdefault(queue, []).append(run)
    return found
