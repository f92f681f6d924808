"""What the rest of Umbel asks of a broker about queues that belong to one worker: how copies get there, and how such a queue ends.

A janitor asks which are `abandoned`, and of each: `begin`; then `take` and `settle` until nothing is left; then `end`.

One conformance suite (tests/conformance) holds every adapter to it. Each call may be repeated, by whoever, after the one before it
died.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from umbel.broker.data import Delivery, Outcome, Outgoing

#: How many looks after the own queues may be missed before the watch over them begins anew; and seconds besides.
MISSED: Final = 4
LATE: Final = 10.0


class OwnQueues(Protocol):
    """The side of a broker that own queues need. Thread-safe. Each call raises OperationalError while the broker is away."""

    def workers(self, queue: str) -> list[str]:
        """Return the names of the workers that consume a queue and one of their own, and are not about to end."""

    def agree(self, queue: str, name: str, value: bytes, ttl: float) -> bytes:
        """Keep a value under a name with a queue, unless one is kept there; return the one that is.

        Args:
            queue: its name.
            name: of the value.
            value: to keep.
            ttl: seconds that it is kept.
        """

    def publish(self, name: str, messages: Sequence[tuple[str, Outgoing]], ttl: float) -> list[str]:
        """Publish one message to each of several queues, once under this name, however often this is called.

        Args:
            name: of this publication.
            messages: queue and message.
            ttl: seconds that is remembered what was published.

        Returns: the queues that take nothing: their intake is closed.

        Raises:
            LayoutError: a newer Umbel works on one of them.
        """

    def abandoned(self, grace: float, every: float) -> list[str]:
        """Return the own queues that nobody has consumed for long, and those where a janitor has left something undone.

        One janitor at a time gets an answer, the others an empty one: one look is enough for all.

        Args:
            grace: seconds without a worker after which a queue is to end, during which somebody looked all the time.
            every: seconds until somebody else may look.
        """

    def begin(self, queue: str, token: str) -> bool:
        """Begin to end a queue; False where there is nothing to end, or a worker consumes it.

        Args:
            queue: its name.
            token: of this janitor: the last one who begins goes on.

        Raises:
            LayoutError: a newer Umbel works on it.
        """

    def take(self, queue: str, token: str, most: int) -> list[Delivery]:
        """Put some of what waits aside, unless a worker came back or another janitor began; return what stands aside.

        Args:
            queue: its name.
            token: with which the queue was begun; empty to return what others have left.
            most: messages at most.
        """

    def settle(self, queue: str, outcomes: Sequence[Outcome]) -> None:
        """Write the ends of what stands aside; those that somebody else has written are passed over."""

    def end(self, queue: str, token: str) -> bool:
        """Delete what is left of a queue but its dead letters; False if a worker came back, or there is more to take."""
