"""What a delivery needs before it may run, where its task has limits; and the lock of a unique task."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from umbel.options import Conflict


@dataclass(frozen=True, slots=True)
class Ticket:
    """The limits of one delivery.

    Args:
        place: key of the concurrency limit, None without one. Not longer than 200 bytes, without a zero byte.
        places: how many of that key may run at once.
        rate: key of the rate limit, None without one.
        interval: seconds between two starts of that key.
        lock: name of the task's lock, where another one may have taken it; None otherwise.
        task_id: of the delivery, for the lock.
    """

    place: str | None = None
    places: int = 0
    rate: str | None = None
    interval: float = 0.0
    lock: str | None = None
    task_id: str = ""

    @property
    def tolerance(self) -> float:
        """Seconds that a start which waited for its slot may be early, since others before it were late."""
        return max(self.interval, 0.1)


class Admission(StrEnum):
    """What became of a delivery that asked for its limits."""

    GO = "go"  #: it may run; its place is freed by its outcome
    PARKED = "parked"  #: its message waits for a place; it is not this owner's any more
    DELAYED = "delayed"  #: its message waits for its start; likewise
    GONE = "gone"  #: it was not this owner's any more
    REPLACED = "replaced"  #: another task of the same lock was sent: it is not to run


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock that a unique task takes when it is published.

    Args:
        name: the same for equal tasks.
        seconds: until it ends by itself, counted from when the task is due.
        conflict: see there.
    """

    name: str
    seconds: float
    conflict: Conflict
