"""The worker's decisions that need no process: what to fetch, whom to ask, whom to bury and how."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import pytest

from umbel.broker.base import Charge, Outgoing, OwnerInfo
from umbel.broker.memory import MemoryBroker
from umbel.clock import ManualClock
from umbel.control.reaper import BUDGET, HINT_COUNTS, HINTED_PATIENCE, PATIENCE, Reaper
from umbel.message import Message, decode
from umbel.worker.prefetch import HORIZON, MOST, Estimate
from umbel.worker.pulse import verdict_of
from umbel.worker.seat import Burial, Seat, Sentence, burial_of, pause_before_birth
from umbel.worker.slots import VOID, Slots
from umbel.worker.turns import LOOK_AGAIN, LOOK_AGAIN_STRICT, Order, Turns, in_order


def _estimate(runtime: float, round_trip: float = 0.0003) -> Estimate:
    estimate = Estimate()
    for _ in range(50):
        estimate.ran(runtime)
        estimate.travelled(round_trip)
    return estimate


@pytest.mark.parametrize(("prefetch", "want"), [(0, 1), (1, 2), (10, 11), (1000, MOST)])
def test_no_more_is_fetched_ahead_than_allowed(prefetch: int, want: int) -> None:
    estimate = Estimate(prefetch)
    for _ in range(50):
        estimate.ran(0.000_01)
    assert estimate.want() == want


def test_nothing_is_fetched_ahead_while_nothing_is_known() -> None:
    assert Estimate().want() == 1


@pytest.mark.parametrize(
    ("runtime", "want"),
    [(0.000_010, MOST), (0.000_1, 49), (0.001, 4), (0.005, 1), (1.0, 1)],
    ids=["10 us", "100 us", "1 ms", "longer than ten round trips", "1 s"],
)
def test_the_work_in_hand_is_bounded_by_time(runtime: float, want: int) -> None:
    assert _estimate(runtime).want() == pytest.approx(want, abs=1)
    assert _estimate(runtime).want() * runtime <= max(HORIZON * 1.05, runtime)


def test_one_long_task_ends_fetching_ahead_at_once() -> None:
    estimate = _estimate(0.000_010)
    estimate.ran(1.0)
    assert estimate.want() == 1


def test_a_short_task_that_waited_for_the_processor_does_not_end_fetching_ahead() -> None:
    estimate = _estimate(0.000_010)
    estimate.ran(0.004)
    assert 1 < estimate.want() < 10
    fetches = 0
    while estimate.want() < MOST / 2:
        for _ in range(estimate.want()):
            estimate.ran(0.000_010)
        fetches += 1
    assert fetches <= 5


def test_weights_are_the_share_of_turns() -> None:
    turns = Turns([("a", 3), ("b", 1)])
    assert Counter(turns.next() for _ in range(400)) == {"a": 300, "b": 100}


def test_in_round_robin_weights_do_not_matter() -> None:
    turns = Turns(in_order((("a", 9), ("b", 1)), Order.ROUND_ROBIN))
    assert Counter(turns.next() for _ in range(100)) == {"a": 50, "b": 50}


def test_strictly_the_first_that_has_something_is_asked() -> None:
    turns = Turns(in_order((("b", 1), ("a", 9)), Order.STRICT), ManualClock().monotonic)
    assert [turns.next() for _ in range(5)] == ["b"] * 5
    turns.empty("b")
    assert turns.next() == "a"
    turns.promising("b")
    assert turns.next() == "b"


@pytest.mark.parametrize(("order", "pause"), [(Order.WEIGHTED, LOOK_AGAIN), (Order.STRICT, LOOK_AGAIN_STRICT)])
def test_a_queue_that_was_empty_is_asked_again_while_another_one_gives(order: Order, pause: float) -> None:
    clock = ManualClock()
    turns = Turns(in_order((("a", 1), ("b", 1)), order), clock.monotonic)
    turns.empty("a")
    turns.promising("b")
    assert turns.next() == "b"
    clock.advance(pause * 1.01)
    turns.promising("b")
    assert "a" in {turns.next() for _ in range(2)}


def test_who_has_nothing_at_all_is_not_asked_again_by_time() -> None:
    clock = ManualClock()
    turns = Turns([("a", 1), ("b", 1)], clock.monotonic)
    turns.empty("a")
    clock.advance(10.0)
    turns.empty("b")
    assert turns.next() is None


def test_an_empty_queue_is_not_asked_until_its_bell_rings() -> None:
    turns = Turns([("a", 1), ("b", 1)], ManualClock().monotonic)
    turns.empty("a")
    assert {turns.next() for _ in range(5)} == {"b"}
    turns.empty("b")
    assert turns.next() is None
    turns.promising("a")
    assert turns.next() == "a"


SEAT_CASES = {
    "idle child died": (Seat(0, owner="o"), [], Burial("o")),
    "the task that ran is charged": (Seat(0, owner="o"), [7], Burial("o", Charge.LOST, 7)),
    "of several that ran each is suspect": (
        Seat(0, owner="o"),
        [7, 9],
        Burial("o", Charge.SUSPECT, suspects=(7, 9)),
    ),
    "what ran for an owner that is gone is nobody's": (Seat(0, owner="o"), [7, 9 | VOID], Burial("o", Charge.LOST, 7)),
    "time limit": (
        Seat(0, owner="o", sentences=(Sentence("time-limit", 7),)),
        [7, 9],
        Burial("o", Charge.NONE, None, (Sentence("time-limit", 7),)),
    ),
    "time limit, but another task by then": (
        Seat(0, owner="o", sentences=(Sentence("time-limit", 7),)),
        [8],
        Burial("o"),
    ),
    "drained": (Seat(0, owner="o", sentences=(Sentence("cold"),)), [7, 9], Burial("o", Charge.REQUEUE)),
    "drained, and failed": (
        Seat(0, owner="o", sentences=(Sentence("drain-fail", 7), Sentence("drain-fail", 9))),
        [7, 9],
        Burial("o", Charge.NONE, None, (Sentence("drain-fail", 7), Sentence("drain-fail", 9))),
    ),
    "died before it was anybody": (Seat(0), [], None),
}


@pytest.mark.parametrize(("seat", "running", "expected"), SEAT_CASES.values(), ids=SEAT_CASES)
def test_burial_of_a_child(seat: Seat, running: list[int], expected: Burial | None) -> None:
    assert burial_of(seat, running) == expected


def test_a_child_that_dies_early_again_and_again_is_born_ever_later() -> None:
    assert [pause_before_birth(deaths) for deaths in (0, 1, 3, 4, 5, 20)] == [0, 0, 0, 0.25, 0.5, 10]


def test_only_early_deaths_before_any_work_make_the_next_birth_wait() -> None:
    seat = Seat(0)
    waits = []
    for lived, expected, worked in [(1.0, False, False)] * 5 + [(1.0, False, True)] + [(1.0, False, False)] * 4:
        seat.born = 100.0
        seat.note_death(100.0 + lived, expected=expected, worked=worked)
        waits.append(seat.next_birth - 100.0 - lived)
    assert waits == [0, 0, 0, 0.25, 0.5, 0, 0, 0, 0, 0.25]
    for lived, expected in [(6.0, False), (1.0, True)]:
        seat.deaths = 9
        seat.note_death(100.0 + lived, expected=expected, worked=False)
        assert (seat.deaths, seat.next_birth) == (0, 100.0 + lived)


def test_sentences_say_what_happened() -> None:
    error, state = verdict_of(Sentence("time-limit", 1, 0, 30.0))
    assert (state, "30 s" in str(error)) == ("FAILURE", True)
    assert verdict_of(Sentence("revoked", 1))[1] == "REVOKED"


def test_slots_show_what_a_child_does() -> None:
    slots = Slots(2)
    slots.start(1, 42, 3, 10.0, 12.5)
    activity = slots.read(1)
    assert (activity.tag, activity.queue, activity.started, activity.deadline) == (42, 3, 10.0, 12.5)
    assert slots.read(0).tag == 0
    slots.end(1, 5)
    assert (slots.read(1).tag, slots.read(1).done) == (0, 5)
    # Another mapping of the same memory sees it, as a process that was executed anew does.
    assert Slots(2, slots.fd).read(1).done == 5
    slots.hold(True)
    assert Slots(2, slots.fd).is_held()


class _Graveyard:
    """A broker with one owner that never beats, and a reaper that looks at it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.broker = MemoryBroker(f"memory://{uuid.uuid4()}", clock=self.clock)
        self.liveness = self.broker.liveness()
        self.reaper = Reaper(self.liveness, self.clock)

    def owner(self, name: str, *, worker: str = "w", pod: str = "", holds: int = 0) -> None:
        info = OwnerInfo(name, ["q"], worker=worker, pod_uid=pod)
        consumer = self.broker.consumer(info)
        consumer.register()
        for number in range(holds):
            message = Message({"id": f"{name}-{number}", "task": "t"}, b"[[],{}]")
            self.broker.publish("q", [Outgoing(message.encode(), f"{name}-{number}")])
        assert len(consumer.cycle("q", [], holds).deliveries) == holds

    def wait(self, seconds: float) -> None:
        """Look once a second."""
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            self.reaper.look()

    def alive(self) -> list[str]:
        return sorted(info.id for info in self.liveness.owners())


def test_a_silent_owner_is_buried_after_the_patience_and_not_before() -> None:
    yard = _Graveyard()
    yard.owner("o", holds=1)
    yard.reaper.look()
    yard.wait(PATIENCE - 1)
    assert yard.alive() == ["o"]
    yard.wait(1)
    assert yard.alive() == []
    assert yard.broker.info("q").ready == 1


def test_an_owner_that_beats_is_never_buried() -> None:
    yard = _Graveyard()
    yard.owner("o")
    for _ in range(30):
        yard.clock.advance(1.0)
        yard.liveness.beat([OwnerInfo("o", ["q"])])
        yard.reaper.look()
    assert yard.alive() == ["o"]


def test_a_wall_clock_that_jumps_buries_nobody() -> None:
    yard = _Graveyard()
    yard.owner("o")
    yard.reaper.look()
    yard.clock.jump(3600)
    yard.reaper.look()
    yard.clock.jump(-7200)
    yard.reaper.look()
    assert yard.alive() == ["o"]


def test_another_server_starts_the_watch_again(monkeypatch: pytest.MonkeyPatch) -> None:
    yard = _Graveyard()
    yard.owner("o")
    yard.reaper.look()
    yard.wait(PATIENCE - 1)
    monkeypatch.setattr(yard.liveness, "generation", lambda: "another run")
    yard.wait(PATIENCE - 1)
    assert yard.alive() == ["o"]
    yard.wait(2)
    assert yard.alive() == []


def test_an_outage_that_the_reaper_did_not_look_through_buries_nobody() -> None:
    """The heartbeat is written before the look, so an outage fails there, and nobody tells the reaper of it."""
    yard = _Graveyard()
    yard.owner("o")
    yard.reaper.look()
    yard.clock.advance(20.0)
    yard.reaper.look()
    assert yard.alive() == ["o"]
    yard.wait(PATIENCE - 1)
    assert yard.alive() == ["o"]
    yard.wait(1)
    assert yard.alive() == []


def test_a_funeral_for_many_leaves_time_to_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    yard = _Graveyard()
    for number in range(20):
        yard.owner(f"o{number}", worker=f"w{number}")
    yard.reaper.look()
    bury = yard.liveness.bury

    def slowly(*args: Any, **kwargs: Any) -> int | None:
        yard.clock.advance(0.3)
        return bury(*args, **kwargs)

    monkeypatch.setattr(yard.liveness, "bury", slowly)
    yard.wait(PATIENCE - 1)
    began = yard.clock.monotonic()
    yard.wait(1)
    assert yard.clock.monotonic() - began < 1.0 + 2 * BUDGET
    assert 0 < len(yard.alive()) < 20
    yard.wait(8)
    assert yard.alive() == []


def test_a_hint_shortens_the_patience_for_that_pod_alone() -> None:
    yard = _Graveyard()
    yard.owner("gone", worker="a", pod="uid-1")
    yard.owner("other", worker="b", pod="uid-2")
    yard.reaper.look()
    yard.reaper.hint(["uid-1"])
    yard.wait(HINTED_PATIENCE)
    assert yard.alive() == ["other"]


def test_a_hint_is_forgotten_when_its_owner_lives_on() -> None:
    yard = _Graveyard()
    yard.owner("gone", pod="uid-1")
    yard.reaper.hint(["uid-1"])
    for _ in range(round(HINT_COUNTS) + 1):
        yard.liveness.beat([OwnerInfo("gone", ["q"])])
        yard.wait(1)
    assert not yard.reaper.alert
    yard.wait(PATIENCE - 1)
    assert yard.alive() == ["gone"]
    yard.wait(1)
    assert yard.alive() == []


@pytest.mark.parametrize(
    ("held", "lost", "suspect"),
    [((1, 0), [1], [0]), ((1, 1), [0, 0], [1, 1]), ((2, 0), [0, 0], [1, 1])],
    ids=["alone in the worker", "one in each child", "two in one child"],
)
def test_only_who_was_alone_in_a_dead_worker_is_charged(
    held: tuple[int, int], lost: list[int], suspect: list[int]
) -> None:
    yard = _Graveyard()
    yard.owner("o1", holds=held[0])
    yard.owner("o2", holds=held[1])
    yard.reaper.look()
    yard.wait(PATIENCE)
    heir = yard.broker.consumer(OwnerInfo("heir", ["q"]))
    heir.register()
    messages = []
    for _ in range(sum(held)):
        batch = heir.cycle("q", [], 10)
        messages += [decode(delivery.payload) for delivery in batch.deliveries]
    assert [message.lost for message in messages] == lost
    assert [message.suspect for message in messages] == suspect
