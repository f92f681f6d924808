"""What the supervisor's main loop and those who answer for it share: who works here, on what, and what they must not run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from umbel.worker.revoking import Revoked
from umbel.worker.seat import Seat
from umbel.worker.slots import Slots


@dataclass
class Roster:
    """See the module. Only the main loop changes it; the threads that answer read copies.

    Args:
        id: of the supervisor.
        hostname: of the worker.
        seats: of the children.
        slots: what they do.
        queues: what they consume: names and weights.
        draining: whether they are about to end.
        executor: what they run tasks with.
        numbers: all queues that they ever consumed, by the numbers that children and supervisor call them.
        revoked: ids of tasks that must not run.
    """

    id: str
    hostname: str
    seats: list[Seat]
    slots: Slots
    queues: dict[str, int]
    draining: Callable[[], bool]
    executor: str = "process"
    numbers: list[str] = field(default_factory=list)
    revoked: Revoked = field(default_factory=Revoked)

    @property
    def state(self) -> str:
        """``running`` or ``draining``."""
        return "draining" if self.draining() else "running"

    def present(self) -> list[Seat]:
        """Return the seats where a child sits."""
        return [seat for seat in list(self.seats) if seat.pid]
