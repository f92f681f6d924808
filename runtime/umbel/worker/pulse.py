"""The supervisor's thread that talks to the broker: heartbeats, burials, the reaper, revocations. It never forks."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from umbel import failure, states
from umbel import message as messages
from umbel.broker.base import Broker, Charge, ConnectionLost, Kind, Outcome, OwnerInfo
from umbel.clock import SYSTEM_CLOCK, Clock
from umbel.control import obituaries
from umbel.control.abandoned import OwnQueueJanitor
from umbel.control.reaper import Reaper
from umbel.dropping import LOOK_EVERY, look_after
from umbel.errors import DecodeError, TaskError, TaskRevokedError, UmbelError
from umbel.marks import stamp_marks
from umbel.message import OVERDUE, UNFINISHED, Message
from umbel.ownqueues import COPY_OF
from umbel.record import Record
from umbel.serialization import SIGNED
from umbel.worker.lateends import overdue, unfinished
from umbel.worker.seat import Burial, Sentence

if TYPE_CHECKING:
    from umbel.worker.herald import Herald

log = logging.getLogger("umbel.worker")

#: Seconds between heartbeats, between two readings of what is revoked, and without the broker until no task may start.
BEAT = 2.0
REVOKED_EVERY = 30.0
HOLD_AFTER = 8.0
#: Seconds between two readings of all that is revoked, and that the others read again.
ALL_REVOKED_EVERY = 600.0
OVERLAP = 5.0
#: Sentences whose task a child may tell the end of, and how its message is marked for that.
FLAGS = {"time-limit": OVERDUE, "drain-fail": UNFINISHED}
#: Cause of a death, for the story of a dead letter.
TOLD = "it was killed in a handler of the task's end (on_failure or after_return)"


class Pulse:
    """See the module.

    Args:
        broker: whose liveness is kept.
        owners: returns the living owners of this worker, with their figures.
        hold: called with True when the broker was out of reach for `HOLD_AFTER`, with False when it is back.
        revoked: called with the ids that were revoked, all of them at first, then the new ones.
        result_ttl: seconds to keep the record of a task that was killed.
        queues: names, in the order of the children's queue numbers.
        hostname: for the records.
        worker: id of the supervisor.
        posthumous: tells whether something of a task, by its name, is to be done where its process is gone.
        sets_ttl: tells whether the app itself says how long records are kept, so that no queue does.
        own_queue_grace: returns how many seconds after a worker its own queue ends.
        herald: tells others of heartbeats, and of tasks that ended with their process.
    """

    def __init__(
        self,
        broker: Broker,
        owners: Callable[[], list[OwnerInfo]],
        hold: Callable[[bool], None],
        revoked: Callable[[Iterable[str]], None],
        *,
        result_ttl: float,
        queues: list[str],
        hostname: str,
        worker: str = "",
        posthumous: Callable[[str], bool] = lambda task: False,
        sets_ttl: Callable[[], bool] = lambda: True,
        own_queue_grace: Callable[[], float] = lambda: 300.0,
        herald: Herald | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._broker = broker
        self._owners = owners
        self._hold = hold
        self._tell_revoked = revoked
        self._ttl = result_ttl
        self._queues = queues
        self._hostname = hostname
        self._worker = worker
        self._posthumous = posthumous
        self._sets_ttl = sets_ttl
        self._herald = herald
        self._clock = clock
        self._liveness = broker.liveness()
        self._reaper = Reaper(self._liveness, clock)
        self._janitor = OwnQueueJanitor(broker, own_queue_grace, result_ttl, clock)
        self._burials: queue.SimpleQueue[Burial] = queue.SimpleQueue()
        self._pending: list[Burial] = []
        self._wake = threading.Event()
        self._stopped = False
        self._reached = clock.monotonic()
        self._last_revoked = -REVOKED_EVERY
        self._looked_after = -LOOK_EVERY
        self._last_all = -ALL_REVOKED_EVERY
        self._seen = 0.0  # when the newest known revocation was, by the broker's clock
        self._alive: set[str] = set()
        self._doubted: set[str] = set()  # missing at the last heartbeat
        self._told: set[str] = set()
        self._buried: list[str] = []  # owners that others have buried, until the supervisor asks
        self._thread = threading.Thread(target=self._run, name="umbel-pulse", daemon=True)
        self.connected = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after what is to be buried now was buried, if the broker allows it."""
        self._stopped = True
        self._wake.set()

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def bury(self, burial: Burial) -> None:
        """Have an owner buried, at once and again until it is done."""
        self._burials.put(burial)
        self._wake.set()

    def running(self, ids: Collection[str]) -> list[tuple[str, str, int, int]]:
        """Return (id or mark of a stamp, owner, queue number, tag) of those tasks that this worker's owners hold; [] while the
        broker is away."""
        found = []
        try:
            for owner in self._owners():
                for queue, held in self._liveness.held(owner.id).items():
                    for tag, payload in held.items():
                        task_id = named_by(payload, ids)
                        if task_id is not None:
                            found.append((task_id, owner.id, self._queues.index(queue), tag))
        except ConnectionLost as error:
            log.warning("broker.away", extra={"error": str(error)})
        return found

    def read_revoked(self) -> None:
        """Read again at once what is revoked."""
        self._last_revoked = -REVOKED_EVERY
        self._wake.set()

    def _run(self) -> None:
        next_beat = 0.0
        while True:
            self._wake.clear()
            stopped = self._stopped  # before the burials: the last one comes before the order to stop
            try:
                self._dig()
                if self._clock.monotonic() >= next_beat:
                    next_beat = self._clock.monotonic() + BEAT
                    self._beat()
                self.connected = True
                self._reached = self._clock.monotonic()
                self._hold(False)
            except (ConnectionLost, UmbelError) as error:
                if self.connected:
                    log.warning("broker.away", extra={"error": str(error)})
                self.connected = False
                next_beat = 0.0
                if self._clock.monotonic() - self._reached > HOLD_AFTER:
                    self._hold(True)
            if stopped and (self.connected or self._clock.monotonic() - self._reached > HOLD_AFTER):
                return
            pause = 0.2 if not self.connected else max(0.0, next_beat - self._clock.monotonic())
            self._wake.wait(pause)

    def take_buried(self) -> set[str]:
        """Return the owners of this worker that were found buried since it was asked for the last time."""
        found = set()
        while self._buried:  # the pulse's thread adds to it
            found.add(self._buried.pop())
        return found

    def _beat(self) -> None:
        owners = self._owners()
        gone = set(self._liveness.beat(owners))
        if self._herald is not None:
            self._herald.beaten()
        # Told once. A child announces its owner before it registers it: who is missing for the first time may be about to come.
        missing = sorted(gone & (self._alive | self._doubted) - self._told)
        self._doubted = gone
        self._told = (self._told | set(missing)) & gone
        if missing:
            log.warning("owner.gone", extra={"owners": missing})
            self._buried.extend(missing)
        self._alive = {owner.id for owner in owners} - gone
        self._reaper.look()
        self._janitor.look()
        if self._clock.monotonic() - self._looked_after >= LOOK_EVERY:
            look_after(self._broker, self._queues, self._ttl)
            self._looked_after = self._clock.monotonic()
        if self._clock.monotonic() - self._last_revoked >= REVOKED_EVERY:
            self._read_revoked()

    def _read_revoked(self) -> None:
        """Take in what was revoked since the last time; all of it now and then, in case the broker's clock was set back."""
        now = self._clock.monotonic()
        if now - self._last_all >= ALL_REVOKED_EVERY:
            self._last_all, self._seen = now, 0.0
        found = self._broker.revocations(self._seen - OVERLAP)
        self._tell_revoked(found)
        self._seen = max(found.values(), default=self._seen)
        self._last_revoked = now

    def _dig(self) -> None:
        while True:
            try:
                self._pending.append(self._burials.get_nowait())
            except queue.Empty:
                break
        while self._pending:
            burial = self._pending[0]
            for sentence in burial.sentences:
                if sentence.why != "cold" and not self._carry_out(burial.owner, sentence):
                    burial = replace(burial, charge=Charge.LOST, guilty=sentence.tag, cause=TOLD)
            if burial.charge in (Charge.LOST, Charge.SUSPECT):
                self._note(burial, self._liveness.held(burial.owner))
            moved = self._liveness.bury(
                burial.owner, charge=burial.charge, guilty=burial.guilty, suspects=burial.suspects
            )
            if moved:
                log.info(
                    "owner.buried", extra={"owner": burial.owner, "messages": moved, "charge": burial.charge.value}
                )
            self._pending.pop(0)

    def _note(self, burial: Burial, held: obituaries.Held) -> None:
        """Note a death before the messages go back: whoever takes one may be about to tell its story."""
        owner = OwnerInfo(
            burial.owner,
            self._queues,
            worker=self._worker,
            hostname=self._hostname,
            pid=burial.pid,
            pool=os.environ.get("UMBEL_POOL", ""),
            pod_uid=os.environ.get("UMBEL_POD_UID", ""),
        )
        messages = obituaries.charged(held, burial.charge, burial.guilty, burial.suspects)
        obituaries.note(self._liveness, owner, messages, burial.charge, burial.cause)

    def _carry_out(self, owner: str, sentence: Sentence) -> bool:
        """Write the end of the task for which the child was killed. Done twice, the second finds the tag gone.

        Where the task has handlers, or its error is stored though its results are not, or its workflow is signed, a child tells
        its end: this process runs no code of the user's, and has no keys. Who waits is told here already.

        Returns: False if that is what the child was at, so that it is charged: handlers too may hang.
        """
        name = self._queues[sentence.queue]
        payload = self._liveness.held(owner).get(name, {}).get(sentence.tag)
        if payload is None:
            return True
        try:
            message = messages.decode(payload)
        except DecodeError:
            return True
        if message.flags & (OVERDUE | UNFINISHED):
            return False
        error, state = verdict_of(sentence)
        outcome = self._outcome(sentence.tag, message, error, state, self._ttl_of(name))
        if sentence.why in FLAGS and (self._posthumous(message.headers["task"]) or _needs_key(message)):
            if not message.headers.get("ignore_result"):
                record = self._record(message, error, state)
                self._liveness.store(outcome.task_id, record, outcome.ttl, outcome.reply_to)
            self._liveness.sentence(owner, name, sentence.tag, FLAGS[sentence.why])
        else:
            if "w" in message.headers:
                self._advance(message, error, outcome.ttl)
            self._liveness.settle(owner, name, outcome)
            if self._herald is not None:
                self._herald.killed(payload, outcome.task_id, sentence.why, error)
        log.error(
            "task.killed",
            extra={"task": message.headers["task"], "task_id": message.headers["id"], "error": str(error)},
        )
        return True

    def _advance(self, message: Message, error: TaskError, ttl: float) -> None:
        """Tell the workflow of a task that was killed.

        Raises:
            ConnectionLost: the broker is away.
        """
        from umbel.workflow.reporting import report_unrun

        try:
            report_unrun(self._broker.workflows, message, error, ttl)
        except UmbelError as away:
            raise ConnectionLost(str(away)) from away

    def _record(self, message: Message, error: TaskError, state: str) -> Record:
        return Record(
            state, failure.encode(error), message.attempt, int(time.time() * 1000), {"worker": self._hostname}
        )

    def _ttl_of(self, name: str) -> float:
        """Return for how many seconds the record of a task of this queue is kept."""
        if self._sets_ttl():
            return self._ttl
        given = self._broker.settings(name).get("task_defaults") or {}
        return float(given.get("result_ttl") or self._ttl)

    def _outcome(self, tag: int, message: Message, error: TaskError, state: str, ttl: float) -> Outcome:
        headers = message.headers
        record = self._record(message, error, state)
        run = (headers["schedule"], headers.get("run", ""), state) if "schedule" in headers else None
        stored = None if headers.get("ignore_result") else record.encode()
        lock = (headers["lock"][0], 0.0) if "lock" in headers else None
        return Outcome(tag, Kind.ACK, headers["id"], stored, ttl, headers.get("reply_to"), run=run, lock=lock)


def named_by(payload: bytes, ids: Collection[str]) -> str | None:
    """Return which of the ids a message is meant by: its task's, its workflow's, or a stamp's mark; None for none. Pure."""
    try:
        headers = messages.decode(payload).headers
    except DecodeError:
        return None
    task_id: str = headers["id"]
    if task_id in ids:
        return task_id
    names = [*stamp_marks(headers.get("stamps") or {}), *headers.get(COPY_OF, ())]
    if "w" in headers:
        from umbel.workflow.advancing import outers_of

        names += outers_of(headers["w"])
    return next((name for name in names if name in ids), None)


def _needs_key(message: Message) -> bool:
    """Whether what follows in the message's workflow may have to be signed, which children can. Pure."""
    return "w" in message.headers and message.headers.get("content_type") == SIGNED


def verdict_of(sentence: Sentence) -> tuple[TaskError, str]:
    """Return the error and the state of a task that was killed on purpose. Pure."""
    if sentence.why == "time-limit":
        return overdue(sentence.seconds), states.FAILURE
    if sentence.why == "revoked":
        return TaskRevokedError("terminated"), states.REVOKED
    return unfinished(), states.FAILURE
