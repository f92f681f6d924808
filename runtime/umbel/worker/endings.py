"""Ends tasks that must end, and the child with them where that is the only way: limits, terminations, a drain that is over.

Used by the supervisor's main thread, but for `terminate`. What was decided is noted in the seat as sentences, before the child
is killed; its death is then dealt with as any other.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from queue import SimpleQueue

from umbel.worker.seat import Condemned, Seat, Sentence
from umbel.worker.slots import Slots
from umbel.worker.stopped import state_of

log = logging.getLogger("umbel.worker")

#: Seconds that a process may take to end after a signal which it may handle.
SIGNAL_PATIENCE = 1.0
#: Seconds that a stopped process may take to stop.
STOP_PATIENCE = 1.0
#: Seconds for which tasks that are to be terminated are looked for, and between two looks: a child that has not read yet what it
#: was told may be about to begin one of them.
SEEK, SEEK_EVERY = 1.2, 0.4
#: What the kernel calls a process that does nothing more for now, or for ever.
STOPPED = ("T", "t", "Z", "X")

#: Finds those tasks, among ids, that this worker's owners hold: (task id, owner, queue number, tag).
Finder = Callable[[Collection[str]], list[tuple[str, str, int, int]]]


class Endings:
    """See the module.

    Args:
        seats: of all children.
        slots: what they do.
        find: see there.
        cancels: whether children can tell one of their tasks to end, and leave the others alone.
        cancel_timeout: seconds for tasks that were told to end, where their children can tell them.
    """

    def __init__(
        self, seats: Sequence[Seat], slots: Slots, find: Finder, *, cancels: bool, cancel_timeout: float
    ) -> None:
        self._seats = seats
        self._slots = slots
        self._find = find
        self._cancels = cancels
        self._cancel_timeout = cancel_timeout
        self._wanted: SimpleQueue[tuple[str, int | None]] = SimpleQueue()
        self._sought: dict[str, tuple[int | None, float]] = {}  #: the same, with the time at which the search is over
        self._sought_at = 0.0
        self._terminated: set[tuple[str, int, int]] = set()  #: owner, queue and tag of those that were found

    def terminate(self, ids: Iterable[str], number: int | None) -> None:
        """Note tasks that are to be ended at the next looks, if they run here; called by any thread.

        Args:
            ids: of the tasks.
            number: the signal that their processes get before they are killed; None for none.
        """
        for task_id in ids:
            self._wanted.put((task_id, number))

    def look(self, now: float) -> None:
        """Kill the children whose tasks are past their limit, or were told to end and have not; end what is to be terminated.

        Args:
            now: monotonic time.
        """
        for seat in self._seats:
            if seat.pid and not seat.sentences:
                self._limit(seat, now)
        self._terminate_wanted(now)

    def _limit(self, seat: Seat, now: float) -> None:
        grace = self._cancel_timeout if self._cancels else 0.0
        running = self._slots.running(seat.index)
        if seat.condemned:
            tags = {activity.tag for activity in running}
            seat.condemned = {tag: told for tag, told in seat.condemned.items() if tag in tags}
        for activity in running:
            told = seat.condemned.get(activity.tag)
            if told is not None and now >= told.deadline:
                self.kill(seat, told.sentence)
            elif activity.deadline and now >= activity.deadline + grace:
                limit = activity.deadline - activity.started
                self.kill(seat, Sentence("time-limit", activity.tag, activity.queue, limit))
            if seat.sentences:
                return

    def _terminate_wanted(self, now: float) -> None:
        """End the tasks which are to be terminated: have them told so, or kill their children."""
        at_once = not self._wanted.empty()
        while not self._wanted.empty():
            task_id, number = self._wanted.get()
            self._sought[task_id] = number, now + SEEK
        if not self._sought or not (at_once or now >= self._sought_at + SEEK_EVERY):
            return
        self._sought_at = now
        for task_id, owner, queue, tag in self._find(self._sought.keys()):
            for seat in self._seats:
                runs = seat.owner == owner and any(a.tag == tag for a in self._slots.running(seat.index))
                if runs and (owner, queue, tag) not in self._terminated:
                    self._terminated.add((owner, queue, tag))
                    self._terminate_one(seat, Sentence("revoked", tag, queue), self._sought[task_id][0], now)
        self._sought = {task_id: sought for task_id, sought in self._sought.items() if now < sought[1]}
        if not self._sought:
            self._terminated.clear()

    def _terminate_one(self, seat: Seat, sentence: Sentence, number: int | None, now: float) -> None:
        if self._cancels and seat.link is not None and seat.link.send({"what": "terminate", "tag": sentence.tag}):
            seat.condemned[sentence.tag] = Condemned(sentence, now + self._cancel_timeout)
        elif number is not None and not self._cancels:
            seat.condemned[sentence.tag] = Condemned(sentence, now + SIGNAL_PATIENCE)
            self.kill(seat, sentence, number=number)
        else:
            self.kill(seat, sentence)

    def hand_back(self, seat: Seat, *, fail: bool) -> None:
        """End a child whose time to drain is over: what it runs goes back, or fails where that is asked for."""
        why = "drain-fail" if fail else "cold"
        running = self._slots.running(seat.index)
        log.warning("worker.hands_back", extra={"pid": seat.pid, "tasks_running": len(running), "how": why})
        ends = [Sentence(why, activity.tag, activity.queue) for activity in running if fail]
        self.kill(seat, *(ends or [Sentence(why)]))

    def end_exclusive(self, *, held: bool, buried: set[str], disowned: set[int]) -> None:
        """Others may run what runs here: end what must not run beside itself.

        Args:
            held: whether the broker is out of reach for so long that others bury us.
            buried: owners that others have buried.
            disowned: numbers of the seats whose child has taken another owner.
        """
        if not (held or buried or disowned):
            return
        for seat in self._seats:
            if not seat.pid or seat.sentences or not (held or seat.owner in buried or seat.index in disowned):
                continue
            if any(one.exclusive for one in self._slots.running(seat.index)):
                log.warning("task.ended_exclusive", extra={"child": seat.pid, "why": "no broker" if held else "buried"})
                self.kill(seat, Sentence("cold"))

    def kill(self, seat: Seat, *sentences: Sentence, number: int | None = None) -> None:
        """Stop the child, look again, and kill it only if it is still at one of the tasks that are meant.

        Args:
            seat: of the child.
            sentences: on its tasks.
            number: the signal to send in place of SIGKILL, which it may survive.
        """
        try:
            os.kill(seat.pid, signal.SIGSTOP)
            until = time.monotonic() + STOP_PATIENCE
            while state_of(seat.pid) not in STOPPED and time.monotonic() < until:
                time.sleep(0.0005)
            running = {activity.tag for activity in self._slots.running(seat.index)}
            if not any(sentence.tag in running or not sentence.tag for sentence in sentences):
                os.kill(seat.pid, signal.SIGCONT)
                return
            if number is not None:
                os.kill(seat.pid, number)
                os.kill(seat.pid, signal.SIGCONT)
                return
            seat.sentences = sentences
            os.kill(seat.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
