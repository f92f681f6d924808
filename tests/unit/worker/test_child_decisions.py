"""What a child does between tasks and beside them, without processes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from umbel.broker.base import ConnectionLost, Delivery, Kind, Outcome, OwnerInfo
from umbel.broker.memory import MemoryBroker
from umbel.worker.child import Child
from umbel.worker.desk import Desk
from umbel.worker.link import Link
from umbel.worker.slots import Slots
from umbel.worker.softlimit import SoftLimit
from umbel.worker.standing import Standing


class _Runner:
    """Runs what a test says."""

    def __init__(self, run: Any = None) -> None:
        self.run = run
        self.revoked: set[str] = set()


@pytest.fixture
def child() -> Iterator[Child]:
    broker = MemoryBroker(f"memory://{uuid.uuid4()}")
    desk = Desk(broker, ["q"], lambda: OwnerInfo("o", ["q"]), lambda owner: None)
    ours, theirs = Link.pair()
    standing = Standing({"queues": [["q", 1, 0]], "limits": {}})
    yield Child(0, desk, _Runner(), broker, standing, Slots(1), theirs, SoftLimit())  # type: ignore[arg-type]
    ours.close()
    theirs.close()


def test_a_time_limit_counts_from_the_start_of_the_users_code(child: Child) -> None:
    # Given a delivery that had to wait for the broker, or for its neighbours, before the task could begin
    child.started = time.monotonic() - 10.0
    child.mark(Delivery("q", 7, b""), 5.0)
    activity = child._slots.read(0)
    assert activity.deadline > time.monotonic() + 4.0
    assert activity.deadline - activity.started == pytest.approx(5.0)


def test_a_child_that_breaks_while_a_task_runs_leaves_the_tasks_tag(child: Child) -> None:
    def breaks(delivery: Delivery, child: Child) -> None:
        child.mark(delivery, None)
        raise LookupError("Umbel's own fault")

    child._runner = _Runner(breaks)  # type: ignore[assignment]
    child._desk.ready.append(Delivery("q", 7, b""))
    with pytest.raises(LookupError):
        child._run_next()
    assert child._slots.read(0).tag == 7


def test_nothing_begins_once_the_worker_was_told_to_end(child: Child) -> None:
    # Given a child that has fetched ahead, and has not heard of the end yet
    ran: list[int] = []

    def run(delivery: Delivery, child: Child) -> None:
        ran.append(delivery.tag)
        child._slots.end_all()

    child._runner = _Runner(run)  # type: ignore[assignment]
    child._desk.ready.extend(Delivery("q", tag, b"") for tag in (7, 8))
    # When the worker ends in the middle of the first task, the second does not begin
    child._work_off()
    assert ran == [7]
    assert [delivery.tag for delivery in child._desk.ready] == [8]
    # And nothing is fetched
    child.draining = False
    child._work()
    assert child.draining
    assert ran == [7]


def test_the_helper_finds_the_way_back_while_a_task_runs(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a long task, an outcome before it, and an answer that was lost
    desk = child._desk
    desk.enter()
    desk.running[0] = Delivery("q", 1, b"")
    child.started = time.monotonic() - 1.0
    desk.add(Delivery("q", 2, b""), Outcome(2, Kind.ACK), desk.generation)
    desk.distrust()
    # When the helper takes over
    child._helper._take_over(give_back=True)
    # Then nothing is left to report, and the main thread may go on
    assert desk.certain
    assert not desk.has_outcomes()
    assert not child._helper.recovering


def test_the_helper_does_not_storm_a_broker_that_is_away(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def away() -> None:
        tries.append(1)
        raise ConnectionLost("away")

    child._desk.distrust()
    monkeypatch.setattr(child._desk, "recover", away)
    child.started = time.monotonic()
    for _ in range(100):
        child._helper._take_over(give_back=True)
    assert len(tries) == 1
    assert not child._helper.recovering


def test_the_helper_leaves_a_task_that_has_just_ended_to_the_main_thread(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    monkeypatch.setattr(child._desk, "recover", lambda: tries.append(1))
    child.started = 2.0
    assert not child._helper._recover_beside(1.0)
    assert tries == []


def test_a_paused_child_starts_nothing_more(child: Child) -> None:
    ran: list[int] = []

    def pause(delivery: Delivery, child: Child) -> Outcome:
        ran.append(delivery.tag)
        child._paused = True
        return Outcome(delivery.tag, Kind.ACK)

    child._runner = _Runner(pause)  # type: ignore[assignment]
    child._desk.enter()
    child._desk.ready.extend([Delivery("q", tag, b"") for tag in (1, 2, 3)])
    child._work_off()
    assert ran == [1]
