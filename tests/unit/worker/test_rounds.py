"""Which queue a child asks next, and how long it waits for a bell, from what the broker answered."""

from __future__ import annotations

import pytest

from umbel.broker.base import Batch, Delivery
from umbel.clock import ManualClock
from umbel.worker.rounds import LOOK, Rounds
from umbel.worker.standing import Standing

NOTHING = Batch([], 0.0)


def _standing(*queues: str) -> Standing:
    return Standing({"queues": [(name, 1, number) for number, name in enumerate(queues)], "limits": {}})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def rounds(clock: ManualClock) -> Rounds:
    return Rounds(_standing("a", "b"), clock.monotonic)


def test_all_queues_are_asked_before_one_waits(rounds: Rounds) -> None:
    first = rounds.turns.next()
    assert first is not None
    assert not rounds.answered(first, NOTHING)
    second = rounds.turns.next()
    assert {first, second} == {"a", "b"}
    rounds.answered(second or "", NOTHING)
    assert rounds.turns.next() is None


@pytest.mark.parametrize(
    "batch",
    [Batch([Delivery("a", 1, b"")], 0.0), Batch([], 0.0, more=True)],
    ids=["something came", "there is more"],
)
def test_a_queue_that_gave_something_is_asked_again(rounds: Rounds, batch: Batch) -> None:
    for queue in "ab":
        rounds.answered(queue, NOTHING)
    assert rounds.answered("a", batch)
    assert rounds.turns.next() == "a"


def test_an_answer_to_who_wanted_nothing_says_nothing_about_the_queue(rounds: Rounds) -> None:
    rounds.answered("b", NOTHING)
    rounds.answered("a", NOTHING, wanted=False)
    assert rounds.turns.next() == "a"


def test_one_waits_for_what_is_due_first(rounds: Rounds, clock: ManualClock) -> None:
    assert rounds.pause() == LOOK
    rounds.answered("a", Batch([], 0.0, next_due=1.5))
    rounds.answered("b", Batch([], 0.0, next_due=1.0, limited=0.5))
    assert rounds.pause() == pytest.approx(0.501)
    clock.advance(0.75)
    assert rounds.pause() == pytest.approx(0.001), "it is due"
    rounds.answered("b", NOTHING)
    assert rounds.pause() == pytest.approx(0.751)
    rounds.answered("a", Batch([], 0.0, next_due=3600.0))
    assert rounds.pause() == LOOK


@pytest.mark.parametrize(("rung", "asked"), [("b", {"b"}), (None, {"a", "b"})])
def test_a_bell_says_where_something_may_be(rounds: Rounds, rung: str | None, asked: set[str]) -> None:
    for queue in "ab":
        rounds.answered(queue, NOTHING)
    rounds.rung(rung)
    found = set()
    while (asks := rounds.turns.next()) is not None:
        found.add(asks)
        rounds.answered(asks, NOTHING)
    assert found == asked


def test_other_queues_begin_anew(clock: ManualClock) -> None:
    rounds = Rounds(_standing("a"), clock.monotonic)
    rounds.answered("a", Batch([], 0.0, next_due=0.1))
    rounds.begin()
    assert (rounds.names, rounds.turns.next(), rounds.pause()) == (["a"], "a", LOOK)
