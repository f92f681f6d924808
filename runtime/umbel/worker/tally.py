"""What all children of a worker have done, living and dead, as they told the supervisor: totals that never count backwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from umbel.meters import RUNTIME_BOUNDS
from umbel.worker.seat import Seat

#: Seconds to wait for the answers of all children.
PATIENCE: Final = 0.25


@dataclass(slots=True)
class Totals:
    """The counts of one task; ``buckets`` are not cumulative."""

    states: dict[str, int] = field(default_factory=dict)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(RUNTIME_BOUNDS) + 1))
    seconds: float = 0.0

    def add(self, other: Totals) -> None:
        """Add the counts of another child."""
        for state, count in other.states.items():
            self.states[state] = self.states.get(state, 0) + count
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.seconds += other.seconds


class Tally:
    """See the module. Thread-safe: the supervisor's main thread writes, whoever answers ``/metrics`` reads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._dead: dict[str, Totals] = {}
        self._living: dict[int, dict[str, Totals]] = {}
        self._cycled: dict[int, float] = {}
        self._asked = 0  # number of the last question
        self._answers: dict[int, int] = {}  # by seat: number of the last question that was answered
        self.deaths: dict[str, int] = {}
        self._lost: dict[int, int] = {}
        self._lost_by_dead = 0

    def take(self, seat: int, message: dict[str, Any]) -> None:
        """Take in what a child told: its totals of the tasks that have changed."""
        with self._changed:
            own = self._living.setdefault(seat, {})
            for name, states, buckets, seconds in message["tasks"]:
                own[name] = Totals(states, buckets, seconds)
            self._cycled[seat] = message["cycled"]
            self._lost[seat] = message.get("lost", 0)
            if message["asked"]:  # what a child tells by itself may have been on its way before the question
                self._answers[seat] = max(message["asked"], self._answers.get(seat, 0))
                self._changed.notify_all()

    def leave(self, seat: int, cause: str | None) -> None:
        """A child is gone: what it told stays counted.

        Args:
            cause: of its death, in a word; None if it never lived.
        """
        with self._changed:
            for name, totals in self._living.pop(seat, {}).items():
                self._dead.setdefault(name, Totals()).add(totals)
            self._cycled.pop(seat, None)
            self._lost_by_dead += self._lost.pop(seat, 0)
            self._answers[seat] = self._asked  # nobody waits for it any more
            if cause is not None:
                self.deaths[cause] = self.deaths.get(cause, 0) + 1
            self._changed.notify_all()

    def ask(self, seats: Sequence[Seat], patience: float = PATIENCE) -> None:
        """Have all children tell what is new, and wait for that, but not for long: a stopped one never answers."""
        until = time.monotonic() + patience
        with self._changed:
            self._asked = number = self._asked + 1
            question = {"what": "figures", "asked": number}
            asked = {seat.index for seat in seats if seat.link is not None and seat.link.send(question)}
            while asked:
                asked = {index for index in asked if self._answers.get(index, 0) < number}
                left = until - time.monotonic()
                if not asked or left <= 0:
                    return
                self._changed.wait(left)

    def totals(self) -> dict[str, Totals]:
        """Return all counts, by task."""
        found: dict[str, Totals] = {}
        with self._changed:
            for rows in (self._dead, *self._living.values()):
                for name, totals in rows.items():
                    found.setdefault(name, Totals()).add(totals)
        return found

    def lost_events(self) -> int:
        """Return how many events the children could not write."""
        with self._changed:
            return self._lost_by_dead + sum(self._lost.values())

    def cycled(self) -> dict[int, float]:
        """Return when each child last had an answer from the broker, in monotonic time, by the number of its seat."""
        with self._changed:
            return dict(self._cycled)
