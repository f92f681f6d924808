"""A child says that it can be given tasks, whichever answer was lost on the way to that: its worker is not ready before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from umbel.broker.base import Broker, ConnectionLost, OwnerInfo
from umbel.ids import new_owner_id
from umbel.transport import make_broker
from umbel.worker.desk import Desk


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = make_broker(f"memory://entering-{os.urandom(6).hex()}", prefix="entering", publish_timeout=5.0)
    yield broker
    broker.close()


def _lost(do: Callable[[], object]) -> Callable[[], object]:
    """Return a call that does something, and whose first answer is lost."""
    calls: list[None] = []

    def call() -> object:
        answer = do()
        calls.append(None)
        if len(calls) == 1:
            raise ConnectionLost("the answer is lost")
        return answer

    return call


@pytest.mark.parametrize("answer", [None, "register", "revocations"])
def test_a_child_has_entered_once_it_knows_that_it_is_registered(broker: Broker, answer: str | None) -> None:
    said: list[str] = []
    desk = Desk(
        broker,
        ["q"],
        lambda: OwnerInfo(new_owner_id(), ["q"]),
        lambda owner: said.append("announced"),
        entered=lambda: said.append("entered"),
    )
    make = broker.consumer

    def consumer(owner: OwnerInfo) -> object:
        made = make(owner)
        if answer is not None:
            setattr(made, answer, _lost(getattr(made, answer)))
        return made

    broker.consumer = consumer  # type: ignore[method-assign,assignment]
    if answer is None:
        desk.enter()
    else:
        with pytest.raises(ConnectionLost):
            desk.enter()
        assert said == ["announced"]
        desk.recover()
    assert said == ["announced", "entered"]
    desk.leave()
