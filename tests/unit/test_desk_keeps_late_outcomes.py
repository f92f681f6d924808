"""A child's two threads share its outcomes: what the main thread adds while the helper waits for an answer is not lost."""

from __future__ import annotations

from typing import Any

import pytest

from umbel.broker.base import Batch, Delivery, Kind, Outcome, OwnerInfo
from umbel.worker.desk import Desk


class Interrupting:
    """A consumer during whose cycle another thread does something."""

    def __init__(self, meanwhile: Any) -> None:
        self.sent: list[list[int]] = []
        self.meanwhile = meanwhile
        self.held: dict[str, dict[int, bytes]] = {"q": {}}
        self.owner = OwnerInfo("o", ["q"])

    def register(self) -> None: ...

    def close(self) -> None: ...

    def cycle(self, queue: str, outcomes: list[Outcome], want: int) -> Batch:
        self.sent.append([outcome.tag for outcome in outcomes])
        self.meanwhile()
        self.meanwhile = lambda: None
        return Batch([], 0.0)

    def resume(self) -> dict[str, dict[int, bytes]]:
        self.meanwhile()
        return self.held

    def revocations(self) -> dict[str, float]:
        return {}


@pytest.fixture
def desk() -> Desk:
    return Desk(None, ["q"], lambda: OwnerInfo("o", ["q"]), lambda owner: None)  # type: ignore[arg-type]


def _entered(desk: Desk, consumer: Interrupting) -> None:
    desk._consumer = consumer  # type: ignore[assignment]
    desk._certain = True


def _end(desk: Desk, tag: int) -> None:
    desk.add(Delivery("q", tag, b""), Outcome(tag, Kind.ACK), desk.generation)


def test_an_outcome_added_during_a_cycle_goes_out_with_the_next(desk: Desk) -> None:
    # Given a task that ends while the helper waits for the broker's answer
    consumer = Interrupting(lambda: _end(desk, 2))
    _entered(desk, consumer)
    _end(desk, 1)
    # When two cycles are run
    desk.cycle("q", 0)
    desk.cycle("q", 0)
    # Then each outcome was reported once
    assert consumer.sent == [[1], [2]]
    assert not desk.has_outcomes()


def test_an_outcome_added_during_a_recovery_is_kept_and_its_task_not_run_again(desk: Desk) -> None:
    # Given a lost connection, one outcome that was taken, and a task that runs
    consumer = Interrupting(lambda: _end(desk, 2))
    consumer.held = {"q": {2: b"", 3: b"waiting"}}
    _entered(desk, consumer)
    _end(desk, 1)
    desk.running[0] = Delivery("q", 2, b"")
    desk.distrust()
    # When the owner's messages are looked up, and the task ends meanwhile
    desk.recover()
    # Then only what nobody knows is to be run, and the late outcome is still to be reported
    assert [delivery.tag for delivery in desk.ready] == [3]
    desk.cycle("q", 0)
    assert consumer.sent == [[2]]
