"""A child: one process that fetches and runs tasks, one at a time, as a consumer of its own.

The main thread runs tasks and, between short ones, cycles. The helper thread takes over only when a task has run for a
while: then it reports what is finished and gives back what waits behind. So a short task pays no hand-over between
threads, and no outcome waits behind a long task. The helper also hears what the supervisor says.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from umbel.backoff import exponential
from umbel.broker.base import Bell, Broker, ConnectionLost, Delivery, Kind, Outcome, OwnerLost
from umbel.errors import LayoutError
from umbel.polling import readable
from umbel.record import Record
from umbel.worker.desk import Desk
from umbel.worker.link import Link
from umbel.worker.prefetch import Estimate
from umbel.worker.quarantine import PATIENCE as ISOLATION_PATIENCE
from umbel.worker.runner import Runner
from umbel.worker.slots import Slots
from umbel.worker.turns import Turns

log = logging.getLogger("umbel.worker")

#: Seconds that a task runs before the helper takes over.
PATIENCE = 0.002
#: What waits behind a task is given back when it runs this many times longer than tasks did so far. A task that is merely late,
#: because the machine is busy, would otherwise send its neighbours' messages back and forth.
GIVE_BACK_AFTER = 3.0
#: Seconds between two tries of the helper to find the way back to the broker.
TRY_AGAIN = 0.5
#: Seconds that an idle child waits for a bell before it looks by itself.
LOOK = 2.0


class Child:
    """See the module.

    Args:
        index: of the child's slot.
        desk: what it has in hand.
        runner: turns a delivery into an outcome.
        broker: for the bell.
        queues: names and weights.
        slots: shared with the supervisor.
        link: to the supervisor.
    """

    def __init__(
        self,
        index: int,
        desk: Desk,
        runner: Runner,
        broker: Broker,
        queues: tuple[tuple[str, int], ...],
        slots: Slots,
        link: Link,
    ) -> None:
        self._index = index
        self._desk = desk
        self._runner = runner
        self._bell: Bell = broker.bell()
        self._names = [name for name, _ in queues]
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._turns = Turns(queues)
        self._slots = slots
        self._link = link
        self._estimate = Estimate()
        self.draining = False
        self._paused = False  # a neighbour runs a suspect, alone in this worker
        self._isolated = False
        self._verdict: bool | None = None  # the supervisor's answer to `isolate`
        self._answered = threading.Event()
        self._stopped = False
        self._started = 0.0  # when the running task started, 0 = none
        self._busy = True  # not waiting for a bell
        self._helper_asleep = False
        self._recovering = False  # the helper looks up what this owner holds
        self._try_again = 0.0  # when it may do so again
        self._due: dict[str, float | None] = {}  # queue -> when its next delayed message is due, monotonic
        self._wake_main = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wake_helper = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._done = 0
        self._refusals = 0  # turns in a row that failed
        self._own = self._descriptors()

    # Main thread

    def run(self) -> None:
        """Work until the supervisor says to drain, or is gone."""
        helper = threading.Thread(target=self._help, name="umbel-helper", daemon=True)
        helper.start()
        self._reach(self._desk.enter)
        try:
            self._work()
        except OSError:
            if self._is_whole():
                raise
        self._end()

    def _work(self) -> None:
        while not self.draining:
            if self._slots.is_held():
                self._hold_on()
            if self._paused:
                self._stand_by()
            self._turn()
            self._work_off()

    def _work_off(self) -> None:
        while self._desk.ready and not (self.draining or self._paused):
            self._run_next()

    def _turn(self) -> None:
        """Report, fetch, and wait if there is nothing."""
        queue = self._turns.next()
        asked = queue or self._names[0]
        began = time.perf_counter()
        try:
            with self._desk.lock:
                if not self._desk.certain:
                    raise ConnectionLost("the last answer is missing")
                want = self._estimate.want() if queue and not self._paused else 0
                batch = self._desk.cycle(asked, want)
                self._desk.flush(but=asked)
        except (ConnectionLost, OwnerLost) as error:
            self._lost(error)
            return
        self._refusals = 0
        self._estimate.travelled(time.perf_counter() - began)
        self._due[asked] = None if batch.next_due is None else time.monotonic() + batch.next_due
        if batch.deliveries or batch.more:
            self._turns.promising(asked)
            return
        self._turns.empty(asked)
        if self._turns.next() is None and not self._desk.ready and not self._paused:
            self._wait()

    def _stand_by(self) -> None:
        """Report what is finished, then neither fetch nor wait for a bell, which would be swallowed."""
        try:
            with self._desk.lock:
                self._desk.give_back()
                self._desk.flush()
        except (ConnectionLost, OwnerLost) as error:
            self._lost(error)
        self._busy = False
        while self._paused and not self.draining:
            readable([self._wake_main], LOOK)
            self._drain_wake()
        self._busy = True
        self._turns.all_promising()

    def _hold_on(self) -> None:
        """The supervisor has not reached the broker for long, so others may be burying this worker: start nothing."""
        while self._slots.is_held() and not self.draining:
            time.sleep(0.05)
        with self._desk.lock:
            self._desk.distrust()
        self._lost(ConnectionLost("the supervisor had lost the broker"))

    def _drain_wake(self) -> None:
        try:
            os.eventfd_read(self._wake_main)
        except BlockingIOError:
            pass

    def _wait(self) -> None:
        """Wait for a bell. Every bell that was taken is answered by a cycle, and so is every timeout."""
        due = min((due for due in self._due.values() if due is not None), default=None)
        timeout = LOOK if due is None else min(LOOK, max(0.0, due - time.monotonic()) + 0.001)
        self._busy = False
        try:
            self._bell.ask(self._names, timeout)
            while not self.draining and not self._paused:
                heard = readable([self._bell.fileno(), self._wake_main], timeout + 5.0)
                if self._wake_main in heard:
                    self._drain_wake()
                    continue
                if not heard:
                    self._bell.close()
                    raise ConnectionLost("no answer from the bell")
                rung = self._bell.answer()
                if rung is None:
                    self._turns.all_promising()
                else:
                    self._turns.promising(rung)
                return
            # Draining or paused: a bell that was taken in this moment is lost; the others look by themselves soon.
            self._bell.close()
        except ConnectionLost as error:
            self._turns.all_promising()
            self._lost(error)
        finally:
            self._busy = True

    def _lost(self, error: Exception) -> None:
        """The broker is away, or the owner is gone: find the way back."""
        if isinstance(error, OwnerLost):
            log.warning("owner.lost", extra={"owner": str(error)})
            self._reach(self._desk.enter)
        else:
            self._refusals += 1
            self._is_whole()
            if self._refusals > 1:  # it can be reached, and refuses: do not storm it
                level = logging.WARNING if self._refusals == 2 else logging.DEBUG
                log.log(level, "broker.away", extra={"error": str(error)})
                time.sleep(exponential(min(self._refusals, 7), factor=0.01, cap=0.5))
            self._reach(self._desk.recover)
        self._turns.all_promising()

    def _descriptors(self) -> list[int | None]:
        """Return what stands behind the descriptors of this child: others may come to bear their numbers."""
        return [_inode(fd) for fd in (self._link.fileno(), self._wake_main, self._wake_helper)]

    def _is_whole(self) -> bool:
        """Return whether a task has left this child its descriptors; where not, it reports what it has, and goes."""
        if self._descriptors() == self._own:
            return True
        log.error("child.descriptors_closed", extra={"hint": "a task closed descriptors that are not its own"})
        self.draining = self._stopped = True
        return False

    def _reach(self, step: Any) -> None:
        """Try ``step`` until the broker answers, however long it takes; the supervisor ends a child that drains too long."""
        tries = 0
        while True:
            try:
                with self._desk.lock:
                    step()
                return
            except OwnerLost:
                step = self._desk.enter
            except (ConnectionLost, LayoutError) as error:
                log.log(logging.WARNING if tries == 0 else logging.DEBUG, "broker.away", extra={"error": str(error)})
                step = self._desk.recover
                if self.draining and tries > 3:
                    return
                time.sleep(exponential(min(tries, 6), factor=0.02, cap=0.5))
                tries += 1

    def _run_next(self) -> None:
        if self._slots.is_held():
            self._hold_on()
        if self._recovering:  # see `_recover_beside`
            with self._desk.lock:
                pass
        try:
            delivery = self._desk.ready.popleft()
        except IndexError:
            return  # the helper gave it back
        self._desk.running = delivery
        generation = self._desk.generation
        began = time.monotonic()
        self._started = began
        if self._helper_asleep and (self._desk.ready or self._desk.has_outcomes()):
            # There is something that must not wait behind this task.
            os.eventfd_write(self._wake_helper, 1)
        # What is raised here is no task's exception: it ends the child, and its slot still says of which task.
        outcome = self._runner.run(delivery, self)
        self._slots.end(self._index, self._done + 1)
        self._started = 0.0
        if self._isolated:
            self._isolated = False
            self._link.send({"what": "together"})
        self._done += 1
        if outcome is not None:
            self._desk.add(delivery, outcome, generation)
        self._desk.running = None
        self._estimate.ran(time.monotonic() - began)

    # What the runner asks for

    def mark(self, delivery: Delivery, time_limit: float | None) -> None:
        """Tell the supervisor what runs, and how many seconds it may, just before the user's code does."""
        started, deadline = self._started, 0.0
        if time_limit:  # counts from now: what went before may have had to wait for the broker or for neighbours
            started = time.monotonic()
            deadline = started + time_limit
        self._slots.start(self._index, delivery.tag, self._numbers[delivery.queue], started, deadline)

    def isolate(self) -> bool:
        """Have the neighbours stand by while a suspect runs here; False if one of them runs a suspect itself."""
        self._verdict = None
        self._answered.clear()
        self._isolated = self._link.send({"what": "alone"})
        self._answered.wait(ISOLATION_PATIENCE + 2.0)
        if self._refused():
            self._isolated = False
            return False
        return True

    def _refused(self) -> bool:
        return self._verdict is False

    def acknowledge(self, delivery: Delivery) -> bool:
        """Acknowledge before the task runs (``acks_late=False``); False if the message is no longer this owner's."""
        generation = self._desk.generation
        self._desk.add(delivery, Outcome(delivery.tag, Kind.ACK), generation)
        while True:
            try:
                with self._desk.lock:
                    self._desk.cycle(delivery.queue, 0)
                return True
            except OwnerLost as error:
                self._lost(error)
            except ConnectionLost as error:
                # If the acknowledgement was taken, recovering drops it, and the next cycle has nothing to report.
                self._lost(error)
            if generation != self._desk.generation:
                return False

    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool:
        """Write a record outside of a cycle; False if it was refused or the broker is away."""
        try:
            with self._desk.lock:
                return self._desk.store(task_id, record, ttl, reply_to)
        except ConnectionLost as error:
            log.warning("record.lost", extra={"task_id": task_id, "state": record.state, "error": str(error)})
            return False

    def note_run(self, run: tuple[str, str, str]) -> None:
        """Tell a schedule how a run ended that was acknowledged before; a broker that is away does not hear it."""
        try:
            with self._desk.lock:
                self._desk.note_run(run)
        except ConnectionLost as error:
            log.warning("run.unnoted", extra={"schedule": run[0], "run": run[1], "error": str(error)})

    def now(self) -> float:
        """Return the broker's time in seconds since the epoch."""
        return self._desk.now()

    def max_deliveries(self, queue: str) -> int:
        """Return the queue's bound on lost deliveries."""
        return self._desk.max_deliveries[queue]

    # The end

    def _end(self) -> None:
        """Report the last outcomes, give back the rest, and go."""
        for _ in range(3):
            try:
                with self._desk.lock:
                    if not self._desk.certain:
                        self._desk.recover()
                    self._desk.give_back()
                    self._desk.flush()
                    self._desk.leave()
                break
            except OwnerLost:
                break
            except ConnectionLost as error:
                log.warning("broker.away", extra={"error": str(error), "what": "leaving"})
                time.sleep(0.2)
        self._stopped = True

    # Helper thread

    def _help(self) -> None:
        while not self._stopped:
            heard = readable([self._link.fileno(), self._wake_helper], self._helper_pause())
            self._helper_asleep = False
            if heard and not self._is_whole():
                return
            if self._wake_helper in heard:
                os.eventfd_read(self._wake_helper)
            if self._link.fileno() in heard:
                self._hear()
            started = self._started
            elapsed = time.monotonic() - started
            if started and elapsed >= PATIENCE:
                self._take_over(give_back=elapsed >= GIVE_BACK_AFTER * (self._estimate.runtime or 0.0))

    def _helper_pause(self) -> float | None:
        """Return how long the helper may sleep; None = until it is woken."""
        busy, started = self._busy, self._started
        long = started and time.monotonic() - started >= PATIENCE
        if busy and not (long and not self._desk.ready and not self._desk.has_outcomes()):
            return PATIENCE
        self._helper_asleep = True
        # Looked at again after the flag is set: the main thread may have gone on in between.
        if self._busy != busy or self._started != started:
            self._helper_asleep = False
            return PATIENCE
        return None

    def _take_over(self, *, give_back: bool) -> None:
        """The running task is long: report what is finished, and give back what waits behind it if it is longer than most."""
        try:
            with self._desk.lock:
                started = self._started
                if not started or not (self._desk.certain or self._recover_beside(started)):
                    return
                if give_back:
                    self._desk.give_back()
                self._desk.flush()
        except OwnerLost as error:
            log.warning("owner.lost", extra={"owner": str(error)})
            with self._desk.lock:
                self._desk.distrust()
        except (ConnectionLost, LayoutError) as error:
            log.debug("broker.away", extra={"error": str(error)})
            self._try_again = time.monotonic() + TRY_AGAIN

    def _recover_beside(self, started: float) -> bool:
        """Find the way back to the broker while a task runs, so that nothing waits for its end; with the lock held.

        The main thread takes nothing off the desk meanwhile: either it has not ended the task when it is looked at here, after
        the flag is set, and then sees the flag before it goes on; or it has, and recovers by itself.
        """
        if time.monotonic() < self._try_again:
            return False
        self._recovering = True
        try:
            if self._started != started:
                return False
            self._desk.recover()
            return True
        finally:
            self._recovering = False

    def _hear(self) -> None:
        """Take in what the supervisor says."""
        while True:
            something, message = self._link.receive_waiting()
            if not something:
                return
            if message is None:
                os._exit(1)  # the supervisor is gone; whatever runs here has been given to others, or will be
            match message["what"]:
                case "drain":
                    self.draining = True
                    os.eventfd_write(self._wake_main, 1)
                    if self._started:
                        self._take_over(give_back=True)
                case "alone":
                    self._verdict = bool(message["granted"])
                    self._answered.set()
                case "pause":
                    self._paused = bool(message["on"])
                    os.eventfd_write(self._wake_main, 1)
                    if self._paused and self._started:
                        self._take_over(give_back=True)
                case "revoked":
                    self._runner.revoked.update(message["ids"])


def _inode(descriptor: int) -> int | None:
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return None
