"""A child: one process that fetches and runs tasks, one at a time, as a consumer of its own.

The main thread runs tasks and, between short ones, cycles. The `Helper`'s thread takes over only when a task has run for a
while. So a short task pays no hand-over between threads, and no outcome waits behind a long task.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from umbel.broker.base import Bell, Broker, ConnectionLost, Delivery, OwnerLost
from umbel.leaving import Leaving
from umbel.polling import readable
from umbel.worker.descriptors import Descriptors
from umbel.worker.desk import Desk
from umbel.worker.errands import Errands
from umbel.worker.helper import Helper
from umbel.worker.link import Link
from umbel.worker.prefetch import Estimate
from umbel.worker.quarantine import PATIENCE as ISOLATION_PATIENCE
from umbel.worker.retirement import Retirement
from umbel.worker.rounds import LOOK, Rounds
from umbel.worker.runner import Limit, Runner
from umbel.worker.slots import Slots
from umbel.worker.standing import Standing

log = logging.getLogger("umbel.worker")


class Child(Errands):
    """See the module.

    Args:
        index: of the child's slot.
        desk: what it has in hand.
        runner: turns a delivery into an outcome.
        broker: for the bell.
        standing: what it consumes.
        slots: shared with the supervisor.
        link: to the supervisor.
        limit: the alarm of the soft time limit.
        retirement: tells when it has done enough; None for never.
        prefetch: messages that it may hold ahead; None for as many as hide the round trip.
    """

    def __init__(
        self,
        index: int,
        desk: Desk,
        runner: Runner,
        broker: Broker,
        standing: Standing,
        slots: Slots,
        link: Link,
        limit: Limit,
        retirement: Retirement | None = None,
        prefetch: int | None = None,
    ) -> None:
        self._wake_main = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wake_helper = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        super().__init__(desk, Descriptors([link.fileno(), self._wake_main, self._wake_helper]))
        self._index = index
        self.limit = limit
        self._runner = runner
        self._bell: Bell = broker.bell()
        self._standing = standing
        self._rounds = Rounds(standing)
        self._slots = slots
        self._link = link
        self._estimate = Estimate(prefetch)
        self._paused = False  # a neighbour runs a suspect, alone in this worker
        self._isolated = False
        self._verdict: bool | None = None  # the supervisor's answer to `isolate`
        self._answered = threading.Event()
        self.started = 0.0  #: when the running task started, 0 = none
        self.busy = True  #: not waiting for a bell
        self._done = 0
        self._retirement = retirement
        self._helper = Helper(self, desk, link, self._wake_helper)
        self._leaving: Leaving | None = None

    # Main thread

    def run(self) -> None:
        """Work until the supervisor says to drain, or is gone."""
        self._helper.start()
        self._reach(self._desk.enter)
        try:
            self._work()
        except OSError:
            if self.is_whole():
                raise
        self._end()

    def _work(self) -> None:
        while not self.draining:
            if self._slots.are_closed():
                self._start_nothing()
                continue
            if self._paused:
                self._stand_by()
            if self._standing.changed:
                self._change_queues()
            self._turn()
            self._work_off()

    def _work_off(self) -> None:
        while self._desk.ready and not (self.draining or self._paused or self._leaving):
            self._run_next()

    def _turn(self) -> None:
        """Report, fetch, and wait if there is nothing."""
        queue = self._rounds.turns.next()
        asked = queue or self._rounds.names[0]
        began = time.perf_counter()
        try:
            with self._desk.lock:
                if not self._desk.certain:
                    raise ConnectionLost("the last answer is missing")
                want = self._estimate.want() if queue and not (self._paused or self._leaving) else 0
                batch = self._desk.cycle(asked, want)
                self._desk.flush(but=asked)
        except (ConnectionLost, OwnerLost) as error:
            self._lost(error)
            self._pass_on()
            return
        if self._leaving is not None:
            self._pass_on()
            return
        self._refusals = 0
        self._estimate.travelled(time.perf_counter() - began)
        if self._rounds.answered(asked, batch):
            return
        if self._rounds.turns.next() is None and not self._desk.ready and not self._paused:
            self._wait()

    def _pass_on(self) -> None:
        """Tell the supervisor that the worker is to end, once what ran here is reported: it may kill this child for that."""
        asked, self._leaving = self._leaving, None
        if asked is not None:
            self._link.send(asked.as_message())
            self.draining = True

    def _change_queues(self) -> None:
        """Consume what the supervisor has said last."""
        try:
            with self._desk.lock:
                self._standing.take_up(self._desk)
        except (ConnectionLost, OwnerLost) as error:
            self._lost(error)
        self._rounds.begin()

    def _stand_by(self) -> None:
        """Report what is finished, then neither fetch nor wait for a bell, which would be swallowed."""
        try:
            with self._desk.lock:
                self._desk.give_back()
                self._desk.flush()
        except (ConnectionLost, OwnerLost) as error:
            self._lost(error)
        self.busy = False
        while self._paused and not self.draining:
            readable([self._wake_main], LOOK)
            self._drain_wake()
        self.busy = True
        self._rounds.turns.all_promising()

    def _start_nothing(self) -> None:
        """End if the worker ends, which stands in the slots before the supervisor says so; otherwise wait for the supervisor."""
        if self._slots.are_ending():
            self.draining = True
        else:
            self._hold_on()

    def _hold_on(self) -> None:
        """The supervisor has not reached the broker for long, so others may be burying this worker: start nothing."""
        while self._slots.is_held() and not (self.draining or self._slots.are_ending()):
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
        timeout = self._rounds.pause()
        self.busy = False
        try:
            self._bell.ask(self._rounds.names, timeout)
            while not (self.draining or self._paused or self._standing.changed or self._leaving):
                heard = readable([self._bell.fileno(), self._wake_main], timeout + self._bell.late)
                if self._wake_main in heard:
                    self._drain_wake()
                    continue
                if not heard:
                    self._bell.close()
                    raise ConnectionLost("no answer from the bell")
                self._rounds.rung(self._bell.answer())
                return
            # Not any more: a bell that was taken in this moment is lost; the others look by themselves soon.
            self._bell.close()
        except ConnectionLost as error:
            self._rounds.turns.all_promising()
            with self._desk.lock:
                self._desk.distrust()  # its connection leads to where the bell was
            self._lost(error)
        finally:
            self.busy = True

    def _lost(self, error: Exception) -> None:
        super()._lost(error)
        self._rounds.turns.all_promising()

    def _run_next(self) -> None:
        if self._slots.are_closed():
            self._start_nothing()
            if self.draining:
                return
        if self._helper.recovering:
            with self._desk.lock:
                pass
        try:
            delivery = self._desk.ready.popleft()
        except IndexError:
            return  # the helper gave it back
        self._desk.running[0] = delivery
        generation = self._desk.generation
        began = time.monotonic()
        self.started = began
        if self._helper.asleep and (self._desk.ready or self._desk.has_outcomes()):
            # There is something that must not wait behind this task.
            os.eventfd_write(self._wake_helper, 1)
        # What is raised here is no task's exception: it ends the child, and its slot still says of which task.
        outcome = self._runner.run(delivery, self)
        self._slots.end(self._index, self._done + 1)
        self.started = 0.0
        if self._isolated:
            self._isolated = False
            self._link.send({"what": "together"})
        self._done += 1
        if outcome is not None:
            self._desk.add(delivery, outcome, generation)
        self._desk.running.pop(0, None)
        if self._put_aside:
            self._put_aside = False  # says nothing about how long tasks run
        else:
            self._estimate.ran(time.monotonic() - began)

        if self._retirement is not None and (self._retirement.has_run(self._done) or self._retirement.is_large()):
            self.draining = True
            self._link.send({"what": "retires"})

    # What the runner asks for

    def mark(self, delivery: Delivery, time_limit: float | None, exclusive: bool = False) -> None:
        """Tell the supervisor what runs, and how many seconds it may, just before the user's code does."""
        started, deadline = self.started, 0.0
        if time_limit:  # counts from now: what went before may have had to wait for the broker or for neighbours
            started = time.monotonic()
            deadline = started + time_limit
        number = self._standing.numbers[delivery.queue]
        self._slots.start(self._index, delivery.tag, number, started, deadline, exclusive)

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

    def leave(self, asked: Leaving) -> None:
        """Have the worker end, after this task; also called by other threads of the app's."""
        self._leaving = asked
        os.eventfd_write(self._wake_main, 1)

    def _refused(self) -> bool:
        return self._verdict is False

    # What the helper asks and tells

    @property
    def stopped(self) -> bool:
        """Whether this child has ended."""
        return self._stopped

    def usual_runtime(self) -> float:
        """Return how many seconds tasks took so far, 0 if that is unknown."""
        return self._estimate.runtime or 0.0

    def deserted(self) -> None:
        """The supervisor is gone; whatever runs here has been given to others, or will be."""
        os._exit(1)

    def told(self, message: dict[str, Any]) -> bool:
        """Take in what the supervisor said; return whether what waits behind the running task is to be given back."""
        match message["what"]:
            case "drain":
                self.draining = True
                os.eventfd_write(self._wake_main, 1)
                return True
            case "alone":
                self._verdict = bool(message["granted"])
                self._answered.set()
            case "pause":
                self._paused = bool(message["on"])
                os.eventfd_write(self._wake_main, 1)
                return self._paused
            case "figures":
                self.send_figures(int(message["asked"]))
            case "revoked":
                self._desk.revoked.update(message["ids"])
            case "standing":
                self._standing.told(message)
                os.eventfd_write(self._wake_main, 1)
        return False
