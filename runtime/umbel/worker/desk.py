"""What one child has in hand: messages to run, outcomes to report, and the owner under whose name it holds them.

The child's threads share it. Everything that talks to Redis happens under ``lock``. Taking a message off ``ready`` is one
atomic deque operation, so that it is either run or given back. Where several threads run tasks they use `take` and `end`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from umbel.broker.base import Batch, Broker, ConnectionLost, Consumer, Delivery, Kind, Outcome, OwnerInfo, OwnerLost
from umbel.broker.tickets import Admission, Ticket
from umbel.errors import ImproperlyConfigured, LayoutError
from umbel.record import Record
from umbel.taskdefaults import TaskDefaults
from umbel.worker.revoking import Revoked

log = logging.getLogger("umbel.worker")


class Desk:
    """See the module.

    Args:
        broker: where the queues are.
        queues: their names.
        new_owner: makes the description of a fresh owner.
        announce: tells the supervisor the owner's id, before the owner can hold anything.
        cycled: called with the monotonic time after each answer of the broker.
        entered: called when the owner is known to be registered, and so can be given tasks; also again.
    """

    def __init__(
        self,
        broker: Broker,
        queues: Sequence[str],
        new_owner: Callable[[], OwnerInfo],
        announce: Callable[[str], None],
        cycled: Callable[[float], None] = lambda now: None,
        entered: Callable[[], None] = lambda: None,
    ) -> None:
        self.cycled = cycled
        self._entered = entered
        self.lock = threading.Lock()
        self.ready: deque[Delivery] = deque()
        self.running: dict[int, Delivery] = {}  #: by slot of the child, those of this owner only
        self._taking = threading.Lock()
        self._frozen = False  # nothing may be taken: what this owner holds is being looked up
        self.generation = 0
        self.max_deliveries = dict.fromkeys(queues, 3)
        self.defaults: dict[str, TaskDefaults] = {}  #: by queue, of those that have some
        self._known_defaults: dict[str, bytes] = {}
        self._broker = broker
        self._queues = tuple(queues)
        self._new_owner = new_owner
        self._announce = announce
        self._outcomes: dict[str, list[Outcome]] = {queue: [] for queue in queues}
        self._offset = time.time() - time.monotonic()
        self._consumer: Consumer | None = None
        self._certain = False
        self.revoked = Revoked()
        self._knows_revoked = False

    # The broker's clock

    def now(self) -> float:
        """Return the broker's time, as of the last cycle, in seconds since the epoch."""
        return time.monotonic() + self._offset

    # Owner

    def enter(self) -> None:
        """Become a new owner. What the old one had in hand is forgotten: others have it, or will.

        Raises:
            ConnectionLost: the broker is away; call again.
        """
        if self._consumer is not None:
            self._consumer.close()
        self._certain = False
        with self._taking:
            self.generation += 1
            self._outcomes = {queue: [] for queue in self._queues}  # after the generation: see `add`
            self.ready.clear()
            self.running = {}
        owner = self._new_owner()
        owner.queues = list(self._queues)
        self._announce(owner.id)
        self._consumer = self._broker.consumer(owner)
        self._consumer.register()
        self._learn_revoked()
        self._certain = True
        self._entered()

    def recover(self) -> None:
        """Find out what became of the last cycle, or of the owner; with the lock held.

        Raises:
            ConnectionLost: the broker is still away; call again.
        """
        if self._certain:
            return
        if self._consumer is None:
            self.enter()
            return
        with self._taking:
            self._frozen = True
        try:
            held = self._consumer.resume()
        except OwnerLost:
            log.warning("owner.lost", extra={"owner": self._consumer.owner.id})
            self.enter()
        else:
            self._compare(held)
            self._entered()  # the answer to its registration may be what was lost
        finally:
            self._frozen = False

    def _compare(self, held: dict[str, dict[int, bytes]]) -> None:
        """Drop what was taken or is gone, and take up what came with an answer that was lost."""
        # Looked at first: whoever ends a task adds the outcome before forgetting what ran.
        running = list(self.running.values())
        for queue, messages in held.items():
            outcomes = self._outcomes[queue]
            # An outcome whose tag is gone was taken; one whose tag still stands was not, and goes out again.
            for outcome in list(outcomes):
                if outcome.tag not in messages:
                    outcomes.remove(outcome)
            known = {outcome.tag for outcome in outcomes}
            known.update(delivery.tag for delivery in self.ready if delivery.queue == queue)
            known.update(delivery.tag for delivery in running if delivery.queue == queue)
            for tag, payload in messages.items():
                if tag not in known:
                    self.ready.append(Delivery(queue, tag, payload))
        for delivery in list(self.ready):
            if delivery.tag not in held[delivery.queue]:
                self.ready.remove(delivery)
        self._learn_revoked()
        self._certain = True

    def _learn_revoked(self) -> None:
        """Read what is revoked before the first task runs; from then on the supervisor tells."""
        if not self._knows_revoked:
            assert self._consumer is not None
            self.revoked.update(self._consumer.revocations())
            self._knows_revoked = True

    # Queues that come and go, with the lock held

    def consume(self, queue: str) -> None:
        """Enter one more queue. May be repeated.

        Raises:
            ConnectionLost, OwnerLost: find the way back, then call again.
            LayoutError, ImproperlyConfigured: it cannot be consumed.
        """
        assert self._consumer is not None
        if not self._certain:
            raise ConnectionLost("the last answer is missing")
        # A new dict: others look through this one.
        self._outcomes = {queue: [], **self._outcomes}
        self.max_deliveries.setdefault(queue, 3)
        try:
            self._uncertain(lambda consumer: consumer.consume(queue))
        except (LayoutError, ImproperlyConfigured):
            self._certain = True  # it is this queue alone that is refused
            raise
        if queue not in self._queues:
            self._queues = (*self._queues, queue)

    def cancel(self, queue: str) -> None:
        """Give back what waits of a queue, and consume it no more. What runs of it is reported when it ends.

        Raises:
            ConnectionLost, OwnerLost: find the way back, then call again.
        """
        if not self._certain:
            raise ConnectionLost("the last answer is missing")
        self._queues = tuple(name for name in self._queues if name != queue)
        for delivery in list(self.ready):
            if delivery.queue == queue:
                try:
                    self.ready.remove(delivery)
                except ValueError:
                    continue  # it was taken in this moment, and runs
                self._outcomes[queue].append(Outcome(delivery.tag, Kind.GIVE_BACK))
        self._uncertain(lambda consumer: consumer.cancel(queue))
        if queue in self._outcomes:
            self.flush()

    def _uncertain(self, step: Callable[[Consumer], None]) -> None:
        """Talk to the broker; nothing is certain until it has answered."""
        assert self._consumer is not None
        self._certain = False
        step(self._consumer)
        self._certain = True

    # Several threads that run tasks

    def take(self, slot: int) -> tuple[Delivery, int] | None:
        """Take the next message to run in a slot of this child; None if there is none, or none may be taken now.

        Returns: the delivery, and the generation of the owner that holds it.
        """
        with self._taking:
            if self._frozen:
                return None
            try:
                delivery = self.ready.popleft()
            except IndexError:
                return None
            self.running[slot] = delivery
            return delivery, self.generation

    def end(self, slot: int, delivery: Delivery, outcome: Outcome | None, generation: int) -> None:
        """Keep the outcome of what ran in a slot."""
        if outcome is not None:
            self.add(delivery, outcome, generation)
        with self._taking:
            if generation == self.generation:
                self.running.pop(slot, None)

    # Cycles, all with the lock held

    def cycle(self, queue: str, want: int) -> Batch:
        """Report the outcomes of one queue and fetch from it.

        Raises:
            ConnectionLost: `recover` first. The outcomes are kept until it is known what became of them.
            OwnerLost: `enter` first. The outcomes are void.
        """
        assert self._consumer is not None
        outcomes = self._outcomes[queue]
        # The main thread may add to the list while the helper waits for the answer: drop only what was sent.
        sent = list(outcomes)
        self._certain = False
        batch = self._consumer.cycle(queue, sent, want)
        self._certain = True
        del outcomes[: len(sent)]
        now = time.monotonic()
        self._offset = batch.now - now
        self.cycled(now)
        self.max_deliveries[queue] = batch.max_deliveries
        if batch.task_defaults is not None or self.defaults:
            self._learn_defaults(queue, batch.task_defaults)
        if batch.lost_tags:
            log.warning("outcome.refused", extra={"queue": queue, "count": len(batch.lost_tags)})
        self.ready.extend(batch.deliveries)
        return batch

    def _learn_defaults(self, queue: str, raw: bytes | None) -> None:
        """Keep the options that a queue gives to tasks; they come with each batch, and are read where they have changed."""
        if raw == self._known_defaults.get(queue):
            return
        if raw is None:
            del self._known_defaults[queue], self.defaults[queue]
        else:
            self.defaults[queue] = TaskDefaults.decode(raw)
            self._known_defaults[queue] = raw

    def admit(self, delivery: Delivery, ticket: Ticket) -> Admission:
        """Ask whether a delivery may run now.

        Raises:
            ConnectionLost, OwnerLost: as `cycle`. It may be asked again.
        """
        assert self._consumer is not None
        self._certain = False
        admission = self._consumer.admit(delivery, ticket)
        self._certain = True
        return admission

    def begin(self, delivery: Delivery) -> bool:
        """Mark a delivery as one that runs now and never again; False if this owner does not hold it any more.

        Raises:
            ConnectionLost, OwnerLost: as `cycle`. It may be asked again.
        """
        assert self._consumer is not None
        self._certain = False
        begun = self._consumer.begin(delivery)
        self._certain = True
        return begun

    def flush(self, *, but: str | None = None) -> None:
        """Report all outcomes, fetch nothing."""
        for queue, outcomes in self._outcomes.items():
            if outcomes and queue != but:
                self.cycle(queue, 0)

    def give_back(self) -> int:
        """Turn what has not started into give-backs; they go out with the next flush. Returns how many."""
        taken: list[Delivery] = []
        while True:
            try:
                # From the end: the main thread takes from the front.
                taken.append(self.ready.pop())
            except IndexError:
                break
        for delivery in reversed(taken):
            self._outcomes[delivery.queue].append(Outcome(delivery.tag, Kind.GIVE_BACK))
        return len(taken)

    def add(self, delivery: Delivery, outcome: Outcome, generation: int) -> None:
        """Keep an outcome for the next cycle, unless the owner under which the task ran is gone."""
        outcomes = self._outcomes  # looked at first: those of the next owner are others, and tags begin anew with each
        if generation == self.generation:
            outcomes[delivery.queue].append(outcome)

    def has_outcomes(self) -> bool:
        """Return whether something waits to be reported."""
        return any(self._outcomes.values())

    def first_to_report(self) -> str | None:
        """Return the first queue with outcomes to be reported, None if nothing is."""
        return next((queue for queue, outcomes in self._outcomes.items() if outcomes), None)

    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool:
        """Write a record outside of a cycle; with the lock held.

        Raises:
            ConnectionLost: as `cycle`.
        """
        assert self._consumer is not None
        return self._consumer.store(task_id, record, ttl, reply_to)

    def leave(self) -> None:
        """End this owner; what it still holds goes back.

        Raises:
            ConnectionLost: the broker is away.
        """
        if self._consumer is not None:
            self._consumer.leave()
            self._consumer.close()

    def distrust(self) -> None:
        """Have the next step look up first what this owner still holds; with the lock held."""
        self._certain = False

    @property
    def certain(self) -> bool:
        """Whether the last cycle's answer arrived and an owner is registered."""
        return self._certain
