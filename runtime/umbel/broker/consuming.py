"""The consumer side of a broker: fetching, reporting, waiting for work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from umbel.broker.data import Batch, Delivery, Outcome, OwnerInfo
from umbel.broker.tickets import Admission, Ticket
from umbel.record import Record


class OwnerLost(Exception):
    """The owner was buried, or the broker was emptied: drop the outcomes, take a new owner id, register again."""


class ConnectionLost(Exception):
    """The connection broke; what was under way is uncertain until `Consumer.resume`."""


class Consumer(Protocol):
    """The consumer side of one owner. Not thread-safe: who calls must hold the child's I/O lock."""

    owner: OwnerInfo

    def register(self) -> None:
        """Enter the owner into the registry and into each queue, before the first cycle."""

    def consume(self, queue: str) -> None:
        """Enter one more queue, before the first cycle on it, or take one up again that was cancelled. May be repeated.

        Raises:
            ImproperlyConfigured: the owner has entered as many as it can.
            OwnerLost: it was buried.
            ConnectionLost: call `resume`, then this again.
        """

    def cancel(self, queue: str) -> None:
        """Note that a queue is consumed no more: whoever calls fetches nothing of it. What is held of it is still reported by
        its cycles.

        Raises:
            OwnerLost, ConnectionLost: see `consume`.
        """

    def cycle(self, queue: str, outcomes: Sequence[Outcome], want: int) -> Batch:
        """Report outcomes and fetch up to ``want`` messages, in one atomic step.

        Raises:
            OwnerLost: see there.
            ConnectionLost: the step may or may not have happened; call `resume` before the next one.
        """

    def admit(self, delivery: Delivery, ticket: Ticket) -> Admission:
        """Let a delivery run, or put its message aside until its limits allow it.

        Raises:
            OwnerLost, ConnectionLost: as `cycle`. After `resume` it may be asked again if the delivery is still there.
        """

    def begin(self, delivery: Delivery) -> bool:
        """Mark the message of a delivery as one that runs now and never again: who gets it afterwards tells of its end.

        Returns: False if the owner does not hold it any more.

        Raises:
            OwnerLost, ConnectionLost: as `cycle`. After `resume` it may be asked again if the delivery is still there.
        """

    def resume(self) -> dict[str, dict[int, bytes]]:
        """Reconnect and return what this owner holds now: queue -> tag -> payload.

        Raises:
            OwnerLost: it was buried meanwhile.
            ConnectionLost: the broker is still away.
        """

    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool:
        """Write a record outside of a cycle (STARTED, progress); False if a later attempt or a final state stands there."""

    def revocations(self) -> dict[str, float]:
        """Return what is revoked, see `Broker.revocations`.

        Raises:
            ConnectionLost: the broker is away.
        """

    def leave(self) -> None:
        """Give back what is still held, without charge, and end this owner."""

    def close(self) -> None:
        """Drop the connections."""


class Bell(Protocol):
    """Waits until one of the queues may have work. On a connection of its own; one thread."""

    late: float  #: seconds that an answer may come after its time; with none until then the connection is no good

    def fileno(self) -> int:
        """The socket to select on after `ask`."""

    def ask(self, queues: Sequence[str], timeout: float) -> None:
        """Start waiting, for at most ``timeout`` seconds of the broker's time."""

    def answer(self) -> str | None:
        """Read the answer: the queue whose bell rang, or None after the timeout."""

    def close(self) -> None: ...
