"""Tasks that are to be terminated are looked for a while: one may begin just after, in a child that has not heard of it yet."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from umbel.worker.endings import SEEK, Endings
from umbel.worker.seat import Seat, Sentence
from umbel.worker.slots import Slots


class Ends(Endings):
    """Notes what would be killed."""

    def __init__(self, slots: Slots) -> None:
        self.asked: list[set[str]] = []
        self.killed: list[int] = []
        super().__init__([Seat(0, owner="o")], slots, self.held, cancels=False, cancel_timeout=1.0)

    def held(self, ids: Collection[str]) -> list[tuple[str, str, int, int]]:
        self.asked.append(set(ids))
        return [("t", "o", 0, 7)] if "t" in ids else []

    def kill(self, seat: Seat, *sentences: Sentence, number: Any = None) -> None:
        self.killed += [sentence.tag for sentence in sentences]


def test_one_that_begins_a_moment_later_is_ended_once() -> None:
    slots = Slots(1)
    ends = Ends(slots)
    ends.terminate(["t"], None)
    ends.look(100.0)
    assert (ends.asked, ends.killed) == ([{"t"}], []), "it is held, and does not run yet"
    slots.start(0, 7, 0, 100.1, 0.0)
    for tenth in range(1, 30):
        ends.look(100.0 + tenth / 10)
    assert ends.killed == [7]
    assert 2 <= len(ends.asked) <= 6, "the broker is not asked at every look, nor for ever"


def test_nobody_looks_for_it_for_ever() -> None:
    slots = Slots(1)
    ends = Ends(slots)
    ends.terminate(["t"], None)
    ends.look(100.0)
    ends.look(100.0 + SEEK)
    slots.start(0, 7, 0, 103.0, 0.0)
    ends.look(103.0)
    assert ends.killed == []
