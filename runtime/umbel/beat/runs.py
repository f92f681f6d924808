"""Enqueue one run of a schedule, once: note it, push it in the queue's slot, and say what came of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NoReturn, Protocol

from umbel.beat.entry import Call, Entry, RunIds, run_ids, slot_ids, task_of, to_ms
from umbel.beat.lease import Lease
from umbel.broker.base import QueueInfo
from umbel.redis.schedules import Begun, Note, Push, ScheduleStore
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


@dataclass(slots=True)
class _Run:
    """A run to be enqueued; ``call`` once it is built."""

    entry: Entry
    ids: RunIds
    scheduled_ms: int
    memory: float
    counted: bool = True
    call: Call | None = None

    @property
    def queue(self) -> str:
        assert self.call is not None
        return self.call.queue

    def note(self) -> Note:
        """Return what its schedule is to know of it."""
        about = {
            "task": self.ids.task,
            "queue": self.queue,
            "scheduled": self.scheduled_ms,
            "begun": int(time.time() * 1000),
        }
        policy = self.entry.policy if self.counted else "Allow"
        stop = self.entry.stop
        return Note(
            self.entry.uid, self.ids.run, about, self.memory, policy, self.counted, stop.max_runs, stop.max_failures
        )

    def push(self) -> Push:
        """Return what its queue is to get."""
        assert self.call is not None
        return Push(self.queue, self.ids.run, self.call.payload, self.ids.task, self.memory, self.call.delay)


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

    def enqueue_slots(self, slots: Sequence[tuple[Entry, datetime, float]]) -> list[tuple[Outcome, str]]:
        """Enqueue the runs for some slots, of one schedule each, with the memory of each in seconds.

        Returns: of each, what came of it, and the task's id (for STOPPED: the reason).

        Raises:
            LeadLost: another beat leads.
            OperationalError: Redis cannot be reached; to be repeated.
        """
        return self._enqueue(
            [_Run(entry, slot_ids(entry.uid, slot), to_ms(slot), memory) for entry, slot, memory in slots]
        )

    def enqueue_manual(self, entry: Entry, token: str, memory: float) -> tuple[Outcome, str]:
        """Enqueue the run that a manual token asks for, whatever else is active; see `enqueue_slots`."""
        ids = run_ids(entry.uid, "manual", token)
        return self._enqueue([_Run(entry, ids, int(time.time() * 1000), memory, counted=False)])[0]

    def _enqueue(self, runs: Sequence[_Run]) -> list[tuple[Outcome, str]]:
        found: dict[str, tuple[Outcome, str]] = {}
        sendable = []
        for run in runs:
            try:
                run.call = run.entry.build(run.ids, run.entry.uid)
            except Exception:
                log.exception("beat.message_failed", extra={"schedule": run.entry.name})
                found[run.ids.run] = Outcome.UNSENDABLE, run.ids.task
            else:
                sendable.append(run)
        noted = []
        for run, begun in zip(sendable, self._note(sendable), strict=True):
            refused = self._refusal(run, begun)
            if refused is None:
                noted.append(run)
            else:
                found[run.ids.run] = refused
        if noted and not self._lease.valid:
            raise LeadLost
        found.update(self._push(noted))
        return [found[run.ids.run] for run in runs]

    def _note(self, runs: Sequence[_Run]) -> list[Begun]:
        """Note runs with their schedules; those that are forbidden, once more where what is in their way is lost."""
        if not runs:
            return []
        begun = self._store.begin_many([run.note() for run in runs])
        for number, answer in enumerate(begun):
            if answer.status == "forbidden" and self.forget_lost([runs[number].entry.uid]):
                begun[number] = self._store.begin_many([runs[number].note()])[0]
        return begun

    def _refusal(self, run: _Run, begun: Begun) -> tuple[Outcome, str] | None:
        """Return what came of a run that is not to be enqueued, None of one that is."""
        if begun.status == "forbidden":
            return Outcome.FORBIDDEN, run.ids.task
        if begun.status == "stopped":
            return Outcome.STOPPED, begun.details[0]
        if begun.status == "ended":
            return Outcome.DEDUPLICATED, run.ids.task
        if begun.status == "begun" and run.entry.policy == "Replace" and run.counted and begun.details:
            self._broker.revoke([task_of(other) for other in begun.details], terminate=True)
        return None

    def _push(self, runs: Sequence[_Run]) -> dict[str, tuple[Outcome, str]]:
        """Push runs that are noted into their queues; return what came of each, by run id."""
        if not runs:
            return {}
        pushes = [run.push() for run in runs]
        answers = self._store.enqueue_many(pushes, source=self._lease.source, epoch=self._lease.epoch)
        stale = [(run, answer) for run, answer in zip(runs, answers, strict=True) if answer.status == "stale"]
        if stale:
            self._step_back([run for run, _ in stale], max(answer.highest for _, answer in stale))
        found = {}
        for run, answer in zip(runs, answers, strict=True):
            if answer.status in ("closed", "full"):
                self._store.drop(run.entry.uid, [run.ids.run], counted=run.counted)
                extra = {"schedule": run.entry.name, "queue": run.queue}
                log.warning(f"beat.queue_{answer.status}", extra=extra)
                outcome = Outcome.CLOSED
            else:
                outcome = Outcome.ENQUEUED if answer.status == "ok" else Outcome.DEDUPLICATED
            found[run.ids.run] = outcome, run.ids.task
        return found

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

    def _step_back(self, runs: Sequence[_Run], highest: int) -> NoReturn:
        """A queue has seen a later leader: take the notes back unless that leader enqueued the runs."""
        for run in runs:
            if not self._store.was_enqueued(run.queue, run.ids.run):
                self._store.drop(run.entry.uid, [run.ids.run], counted=run.counted)
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
