"""What the rest of Umbel asks of a broker about queues that belong to one worker, and about the copies that go there.

One conformance suite (tests/conformance) holds every adapter to it. Each call may be repeated, by whoever, after the one before it
died.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from umbel.broker.data import Outgoing


class OwnQueues(Protocol):
    """The side of a broker that own queues need. Thread-safe. Each call raises OperationalError while the broker is away."""

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
