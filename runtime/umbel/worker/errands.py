"""What a child does with the broker for a task's sake: the way back to it, and what the runner asks for besides outcomes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from umbel.backoff import exponential
from umbel.broker.base import ConnectionLost, Delivery, OwnerLost
from umbel.broker.tickets import Admission, Ticket
from umbel.errors import LayoutError
from umbel.record import Record
from umbel.worker.descriptors import Descriptors
from umbel.worker.desk import Desk

log = logging.getLogger("umbel.worker")
T = TypeVar("T")


class Errands:
    """See the module. The base of a child.

    Args:
        desk: what the child has in hand.
        descriptors: that it cannot do without.
    """

    def __init__(self, desk: Desk, descriptors: Descriptors) -> None:
        self._desk = desk
        self.send_figures: Callable[[int], None] = lambda asked: None  #: tells the supervisor what this child has done
        self._descriptors = descriptors
        self.draining = False
        self._stopped = False
        self._refusals = 0  # turns in a row that failed
        self._put_aside = False  # what was taken last waits for its limits now

    # The way to the broker

    def _lost(self, error: Exception) -> None:
        """The broker is away, or the owner is gone: find the way back."""
        if isinstance(error, OwnerLost):
            log.warning("owner.lost", extra={"owner": str(error)})
            self._reach(self._desk.enter)
            return
        self._refusals += 1
        self.is_whole()
        if self._refusals > 1:  # it can be reached, and refuses: do not storm it
            level = logging.WARNING if self._refusals == 2 else logging.DEBUG
            log.log(level, "broker.away", extra={"error": str(error)})
            self._rest(exponential(min(self._refusals, 7), factor=0.01, cap=0.5))
        self._reach(self._desk.recover)

    def _reach(self, step: Callable[[], None]) -> None:
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
                self._rest(exponential(min(tries, 6), factor=0.02, cap=0.5))
                tries += 1

    def _rest(self, seconds: float) -> None:
        """Wait before the next try."""
        time.sleep(seconds)

    def is_whole(self) -> bool:
        """Return whether a task has left this child its descriptors; where not, it reports what it has, and goes."""
        if self._descriptors.are_whole():
            return True
        log.error("child.descriptors_closed", extra={"hint": "a task closed descriptors that are not its own"})
        self.draining = self._stopped = True
        return False

    # What the runner asks for

    def begin(self, delivery: Delivery, generation: int | None = None) -> bool:
        """Mark a message that runs at most once (``acks_late=False``), before it runs; False if it is no longer this owner's.

        Args:
            delivery: of the message.
            generation: of the owner that holds it; None for the present one.
        """
        return self._ask(lambda: self._desk.begin(delivery), False, generation)

    def admit(self, delivery: Delivery, ticket: Ticket, generation: int | None = None) -> Admission:
        """Ask whether a delivery may run now; where not, its message is put aside.

        Args:
            delivery, generation: as for `begin`.
            ticket: what it asks for.
        """
        admission = self._ask(lambda: self._desk.admit(delivery, ticket), Admission.GONE, generation)
        self._put_aside = admission in (Admission.PARKED, Admission.DELAYED)
        return admission

    def _ask(self, question: Callable[[], T], gone: T, generation: int | None) -> T:
        """Ask the broker until it answers; return ``gone`` if another owner has taken the place of the one that asked."""
        if generation is None:
            generation = self._desk.generation
        while True:
            try:
                with self._desk.lock:
                    return question()
            except (OwnerLost, ConnectionLost) as error:
                self._lost(error)
            if generation != self._desk.generation:
                return gone

    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool:
        """Write a record outside of a cycle; False if it was refused or the broker is away."""
        try:
            with self._desk.lock:
                return self._desk.store(task_id, record, ttl, reply_to)
        except ConnectionLost as error:
            log.warning("record.lost", extra={"task_id": task_id, "state": record.state, "error": str(error)})
            return False

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
