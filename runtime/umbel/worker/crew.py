"""A child that runs several tasks at once, in threads or in asyncio: one consumer, one owner, a slot for each task.

The crew's own thread does all that has to do with the broker and the supervisor, so that no task keeps it from that: it fetches
for the slots that are free, reports what is finished, answers the supervisor. While one cycle is in flight, what ends piles up
for the next. The tasks run in `Hands`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from umbel.broker.base import Bell, Broker, ConnectionLost, Delivery, Outcome, OwnerLost
from umbel.errors import TaskRevokedError
from umbel.interrupting import Condemned
from umbel.leaving import Leaving
from umbel.polling import readable
from umbel.states import REVOKED
from umbel.worker.alarms import Alarms
from umbel.worker.descriptors import Descriptors
from umbel.worker.desk import Desk
from umbel.worker.errands import Errands
from umbel.worker.hands import Hands
from umbel.worker.lane import Lane
from umbel.worker.link import Link
from umbel.worker.prefetch import MOST, Estimate
from umbel.worker.quarantine import PATIENCE as ISOLATION_PATIENCE
from umbel.worker.retirement import Retirement
from umbel.worker.rounds import LOOK, Rounds
from umbel.worker.slots import Slots
from umbel.worker.standing import Standing

log = logging.getLogger("umbel.worker")

#: Seconds that what was fetched ahead waits for a slot before it is given back, if tasks do not usually take longer.
PATIENCE = 0.002
GIVE_BACK_AFTER = 3.0


class Crew(Errands):
    """See the module.

    Args:
        index: of the child.
        desk: what it has in hand.
        broker: for the bell.
        standing: what it consumes.
        slots: shared with the supervisor.
        link: to the supervisor.
        hands: run the tasks.
        alarms: for their limits.
        retirement: tells when it has done enough; None for never.
        prefetch: messages that it may hold ahead; None for as many as hide the round trip.
    """

    def __init__(
        self,
        index: int,
        desk: Desk,
        broker: Broker,
        standing: Standing,
        slots: Slots,
        link: Link,
        hands: Hands,
        alarms: Alarms,
        retirement: Retirement | None = None,
        prefetch: int | None = None,
    ) -> None:
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        super().__init__(desk, Descriptors([link.fileno(), self._wake]))
        self.lanes = [Lane(self, n, slots, index * slots.lanes + n, alarms) for n in range(slots.lanes)]
        self._bell: Bell = broker.bell()
        self._asked_until = 0.0  # when the bell has to have answered, 0 = it was not asked
        self._standing = standing
        self._rounds = Rounds(standing)
        self._slots = slots
        self._link = link
        self._hands = hands
        self._estimate = Estimate(prefetch)
        self._errands: deque[Callable[[], object]] = deque()
        self._retirement = retirement
        self._begun = 0  # deliveries that were taken to be run
        self._busy = 0  # lanes with a delivery in hand
        self._counting = threading.Lock()
        self._asleep = False  # the crew's thread
        self._moved = 0.0  # when a delivery was taken last
        self._stuck = False  # what was fetched ahead had to be given back, and nothing has ended since
        self._paused = False  # a neighbour runs a suspect, alone in this worker
        self._suspect: Lane | None = None  # runs one itself
        self._verdict: bool | None = None  # the supervisor's answer to `isolate`
        self._changed = threading.Condition(self._counting)
        self._leaving: Leaving | None = None
        self._thread = threading.Thread(target=self._run, name="umbel-crew", daemon=True)

    def run(self) -> None:
        """Work until the supervisor says to drain, or is gone."""
        self._thread.start()
        self._hands.serve()
        self._thread.join()

    # What the hands ask for, in their threads

    def number_of(self, queue: str) -> int:
        """Return the number by which the supervisor knows a queue."""
        return self._standing.numbers[queue]

    def take(self, lane: Lane) -> Delivery | None:
        """Take what a lane is to run, None for nothing."""
        with self._counting:
            if self._closed() or self._slots.are_closed():
                return None
            if self._retirement is not None and self._retirement.has_run(self._begun):
                return None
            self._busy += 1
            self._begun += 1
        taken = self._desk.take(lane.number)
        if taken is None:
            with self._counting:
                self._busy -= 1
                self._begun -= 1
                self._changed.notify_all()
            return None
        self._moved = time.monotonic()
        lane.take(*taken)
        if self._retirement is not None and self._retirement.has_run(self._begun):
            self._retire()
        return taken[0]

    def end(self, lane: Lane, delivery: Delivery, outcome: Outcome | None) -> None:
        """Keep how a delivery ended in its lane, which is free again."""
        self._desk.end(lane.number, delivery, outcome, lane.generation)
        with self._counting:
            seconds = lane.clear()
            self._busy -= 1
            if self._suspect is not None:
                self._changed.notify_all()
        if not lane.put_aside:
            self._estimate.ran(seconds)
        self._stuck = False
        if self._retirement is not None and not self.draining and self._retirement.is_large():
            self._retire()
        if self._suspect is lane:
            self._suspect = None
            self._link.send({"what": "together"})
        if self._asleep:
            self._asleep = False
            os.eventfd_write(self._wake, 1)

    def _retire(self) -> None:
        """Begin nothing more; another child takes over while what runs here ends."""
        if not self.draining:
            self.draining = True
            self._link.send({"what": "retires"})
            self._rouse()

    def later(self, errand: Callable[[], object]) -> None:
        """Have an errand run before the next outcomes are reported."""
        self._errands.append(errand)
        self._rouse()

    def leave(self, asked: Leaving) -> None:
        """Have the worker end, once what has ended here is reported: the supervisor may kill this child for that."""
        self._leaving = asked
        self._rouse()

    def isolate(self, lane: Lane) -> bool:
        """Have all others stand by while a suspect runs in a lane; see `umbel.worker.quarantine`. Takes as long as they do."""
        until = time.monotonic() + ISOLATION_PATIENCE
        with self._counting:
            if self._suspect is not None:
                return False
            self._suspect, self._verdict = lane, None
            self._rouse()
            self._changed.wait_for(lambda: self._busy <= 1, ISOLATION_PATIENCE)
            self._link.send({"what": "alone"})
            self._changed.wait_for(lambda: self._verdict is not None, until + 2.0 - time.monotonic())
            if self._refused():
                self._suspect = None
                return False
        return True

    def _refused(self) -> bool:
        return self._verdict is False

    def _closed(self) -> bool:
        """Whether nothing may be started now."""
        if self.draining or self._paused or self._suspect is not None or self._leaving is not None:
            return True
        return self._slots.are_ending()  # before the supervisor says so

    def _rouse(self) -> None:
        os.eventfd_write(self._wake, 1)

    # The crew's thread

    def _run(self) -> None:
        try:
            self._reach(self._desk.enter)
            while not (self._stopped or (self.draining and self._busy == 0)):
                self._turn()
            self._run_errands()
            self._end()
            self._hands.stop()
        except BaseException:
            if self.is_whole():
                traceback.print_exc()
            os._exit(1)

    def _turn(self) -> None:
        """Report, fetch, or wait if there is nothing to do."""
        self._run_errands()
        if self._slots.is_held():
            self._hold_on()
        if not self._desk.certain:
            self._lost(ConnectionLost("the last answer is missing"))
        if self._standing.changed:
            self._change_queues()
        if self._leaving is not None and not self._desk.has_outcomes():
            self._link.send(self._leaving.as_message())
            self.draining, self._leaving = True, None
        want = self._want()
        queue = self._rounds.turns.next() if want else None
        if self._desk.ready and (self._closed() or self._is_stuck()):
            self._give_back()
        elif queue is not None or self._desk.has_outcomes():
            self._cycle(queue or self._desk.first_to_report() or self._rounds.names[0], want)
        else:
            self._wait(want)

    def _change_queues(self) -> None:
        """Consume what the supervisor has said last."""
        self._ask_no_more()
        try:
            with self._desk.lock:
                self._standing.take_up(self._desk)
        except (ConnectionLost, OwnerLost) as error:
            self._lost(error)
        self._rounds.begin()

    def _run_errands(self) -> None:
        while self._errands:
            self._errands.popleft()()

    def _want(self) -> int:
        """Return how many messages to fetch: for the lanes that are free, and a few to hide the round trip."""
        if self._closed():
            return 0
        ahead = 0
        runtime = self._estimate.runtime
        if not self._stuck and runtime is not None and self._estimate.is_short():
            ahead = int(self._estimate.horizon() * len(self.lanes) / max(runtime, 1e-6))
            ahead = min(MOST, self._estimate.most_ahead, ahead)
        return max(0, min(MOST, len(self.lanes) + ahead - self._busy - len(self._desk.ready)))

    def _is_stuck(self) -> bool:
        """Whether what was fetched ahead waits for longer than it was meant to."""
        waited = time.monotonic() - self._moved
        return self._busy >= len(self.lanes) and waited >= max(
            PATIENCE, GIVE_BACK_AFTER * (self._estimate.runtime or 0.0)
        )

    def _give_back(self) -> None:
        self._stuck = True
        try:
            with self._desk.lock:
                self._desk.give_back()
                self._desk.flush()
        except (ConnectionLost, OwnerLost) as error:
            self._lost(error)

    def _cycle(self, queue: str, want: int) -> None:
        began = time.perf_counter()
        try:
            with self._desk.lock:
                batch = self._desk.cycle(queue, want)
                self._desk.flush(but=queue)
        except (ConnectionLost, OwnerLost) as error:
            self._lost(error)
            return
        self._refusals = 0
        self._estimate.travelled(time.perf_counter() - began)
        if batch.deliveries:
            self._hands.wake(len(batch.deliveries))
        self._rounds.answered(queue, batch, wanted=want > 0)

    def _wait(self, want: int) -> None:
        """Wait for the hands, the supervisor, or a bell. Every bell that was taken is answered by a cycle."""
        now = time.monotonic()
        timeout = LOOK
        descriptors = [self._wake, self._link.fileno()]
        try:
            if want and not self._asked_until:
                pause = self._rounds.pause()
                self._bell.ask(self._rounds.names, pause)
                self._asked_until = now + pause + 5.0
            if self._asked_until:
                descriptors.append(self._bell.fileno())
                timeout = max(0.0, self._asked_until - now)
            if self._desk.ready:
                timeout = PATIENCE
            heard = self._listen(descriptors, timeout)
            if self._asked_until and descriptors[-1] in heard:
                self._asked_until = 0.0
                self._rung(self._bell.answer())
            elif self._asked_until and time.monotonic() >= self._asked_until:
                raise ConnectionLost("no answer from the bell")
        except ConnectionLost as error:
            self._bell.close()
            self._asked_until = 0.0
            self._lost(error)
        if self._desk.ready and self._busy < len(self.lanes):
            self._hands.wake(1)  # nobody has heard the first call, or it came when nothing might be taken

    def _listen(self, descriptors: list[int], timeout: float) -> list[int]:
        self._asleep = True
        # Looked at again after the flag is set: something may have ended in between.
        heard = readable(descriptors, 0 if self._desk.has_outcomes() or self._errands else timeout)
        self._asleep = False
        if heard and not self.is_whole():
            return []
        if self._wake in heard:
            os.eventfd_read(self._wake)
        if self._link.fileno() in heard:
            self._hear()
        return heard

    def _rung(self, queue: str | None) -> None:
        self._rounds.rung(queue)
        if queue is not None and not self._want():
            self._cycle(queue, 0)  # which passes the bell on

    def _ask_no_more(self) -> None:
        """A bell that was taken in this moment is lost; the others look by themselves soon."""
        if self._asked_until:
            self._bell.close()
            self._asked_until = 0.0

    def _hold_on(self) -> None:
        """The supervisor has not reached the broker for long, so others may be burying this worker: start nothing."""
        while self._slots.is_held() and not (self.draining or self._slots.are_ending()):
            self._listen([self._link.fileno()], 0.05)
        with self._desk.lock:
            self._desk.distrust()

    def _rest(self, seconds: float) -> None:
        if threading.current_thread() is self._thread:
            self._listen([self._link.fileno()], seconds)  # the supervisor is heard also while the broker is away
        else:
            time.sleep(seconds)

    def _lost(self, error: Exception) -> None:
        generation = self._desk.generation
        super()._lost(error)
        if self._desk.generation != generation:
            with self._counting:
                for lane in self.lanes:
                    if lane.tag and lane.generation != self._desk.generation:
                        lane.disown()
        self._rounds.turns.all_promising()
        self._hands.wake(len(self._desk.ready))

    # What the supervisor says

    def _hear(self) -> None:
        while True:
            something, message = self._link.receive_waiting()
            if not something:
                return
            if message is None:
                os._exit(1)  # the supervisor is gone; whatever runs here has been given to others, or will be
            self._told(message)

    def _told(self, message: dict[str, Any]) -> None:
        match message["what"]:
            case "drain":
                self.draining = True
                self._ask_no_more()
            case "alone":
                with self._counting:
                    self._verdict = bool(message["granted"])
                    self._changed.notify_all()
            case "pause":
                self._paused = bool(message["on"])
                self._ask_no_more()
                self._rounds.turns.all_promising()
            case "figures":
                self.send_figures(int(message["asked"]))
            case "revoked":
                self._desk.revoked.update(message["ids"])
            case "standing":
                self._standing.told(message)
            case "terminate":
                for lane in self.lanes:
                    if lane.tag == message["tag"]:
                        lane.limit.condemn(lane.tag, Condemned(TaskRevokedError("terminated"), REVOKED))
