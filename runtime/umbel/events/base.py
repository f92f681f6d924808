"""What the rest of Umbel asks of the place where events are kept. One conformance suite holds every adapter to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

#: The position before everything that is kept.
BEGINNING: Final = "0-0"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept: so many events, about, and none older than so many seconds."""

    most: int = 100_000
    age: float = 6 * 3600.0


class EventLog(Protocol):
    """A log of events, the newest last; of each the bytes of a JSON object. Thread-safe.

    A position names an event, and the moment between it and the next one. Later events have greater positions.
    """

    def write(self, events: Sequence[bytes]) -> None:
        """Append events, in one round trip, and drop those that are too old or too many.

        Raises:
            OperationalError: the broker cannot be reached, or has no room.
            ConnectionLost: the connection broke; they may have been written.
        """

    def read(self, after: str, count: int, wait: float = 0.0) -> list[tuple[str, bytes]]:
        """Return the next events after a position, with their positions.

        Args:
            after: a position.
            count: at most so many.
            wait: seconds to wait where there is none yet.

        Raises:
            OperationalError, ConnectionLost: the broker cannot be reached; ask again.
        """

    def newest(self) -> str:
        """Return the position of the newest event, `BEGINNING` if there is none."""

    def ago(self, seconds: float) -> str:
        """Return the position before the events of the last ``seconds``, by the broker's clock."""

    def close(self) -> None:
        """Drop the connections."""


def clock_of(position: str) -> int:
    """Return a position as one number, so that positions compare as the numbers do. Pure."""
    when, _, number = position.partition("-")
    return int(when) * 1_000_000 + min(int(number or 0), 999_999)
