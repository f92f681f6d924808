"""One slot of a child that runs several tasks at once: what the runner asks of it, for the task that runs there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from umbel.broker.base import Delivery
from umbel.broker.tickets import Admission, Ticket
from umbel.leaving import Leaving
from umbel.record import Record
from umbel.worker.alarms import Alarms
from umbel.worker.lanelimit import LaneLimit
from umbel.worker.slots import Slots

if TYPE_CHECKING:
    from umbel.worker.crew import Crew


class Lane:
    """See the module, and `umbel.worker.runner.Child`.

    Args:
        crew: that it belongs to.
        number: within the child.
        slots: shared with the supervisor.
        index: of its slot there.
        alarms: for the limits.
    """

    def __init__(self, crew: Crew, number: int, slots: Slots, index: int, alarms: Alarms) -> None:
        self.number = number
        self.tag = 0  #: of the delivery that is in hand here, 0 for none
        self.generation = 0  #: of the owner that held it when it was taken
        self.began = 0.0
        self.put_aside = False  #: it waits for its limits now, and did not run
        self.limit = LaneLimit(alarms)
        self._crew = crew
        self._slots = slots
        self._index = index
        self._done = 0
        self._leaving: Leaving | None = None

    def take(self, delivery: Delivery, generation: int) -> None:
        """A delivery begins here."""
        self.tag, self.generation, self.began = delivery.tag, generation, time.monotonic()
        self.put_aside = False

    def leave(self, asked: Leaving) -> None:
        """Have the worker end, after this task."""
        self._leaving = asked

    def clear(self) -> float:
        """It has ended, and its outcome is kept; return how many seconds that took."""
        if self._leaving is not None:
            self._crew.leave(self._leaving)
            self._leaving = None
        self._done += 1
        self._slots.end(self._index, self._done)
        self.tag = 0
        return time.monotonic() - self.began

    def disown(self) -> None:
        """What runs here is nobody's message any more."""
        self._slots.disown(self._index)

    # What the runner asks for

    def mark(self, delivery: Delivery, time_limit: float | None, exclusive: bool = False) -> None:
        """Tell the supervisor what runs, and how many seconds it may, just before the user's code does."""
        now = time.monotonic()
        deadline = now + time_limit if time_limit else 0.0
        number = self._crew.number_of(delivery.queue)
        self._slots.start(self._index, delivery.tag, number, now, deadline, exclusive)
        self.limit.bound(delivery.tag, time_limit)

    def isolate(self) -> bool:
        """Have all others stand by, here and in the neighbours, while a suspect runs; False if there is another suspect."""
        return self._crew.isolate(self)

    def admit(self, delivery: Delivery, ticket: Ticket) -> Admission:
        """See `umbel.worker.errands.Errands`."""
        admission = self._crew.admit(delivery, ticket, self.generation)
        self.put_aside = admission in (Admission.PARKED, Admission.DELAYED)
        return admission

    def begin(self, delivery: Delivery) -> bool:
        """See `umbel.worker.errands.Errands`."""
        return self._crew.begin(delivery, self.generation)

    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool:
        """See `umbel.worker.errands.Errands`; what asyncio runs must not wait for it, so it is done later there."""
        return self.do(lambda: self._crew.store(task_id, record, ttl, reply_to))

    def do(self, errand: Callable[[], object]) -> bool:
        """Run an errand to the broker: now, or before the next outcomes are reported where nothing may wait here."""
        if self.limit.steered is None:
            return bool(errand())
        self._crew.later(errand)
        return True

    def now(self) -> float:
        """Return the broker's time in seconds since the epoch."""
        return self._crew.now()

    def max_deliveries(self, queue: str) -> int:
        """Return the queue's bound on lost deliveries."""
        return self._crew.max_deliveries(queue)
