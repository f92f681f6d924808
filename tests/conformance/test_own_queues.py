"""Queues of single workers: copies are published once, and a queue ends some time after its worker."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.making import ids, outgoing, take

from umbel.broker.base import Bell, Broker, Consumer
from umbel.broker.ownqueues import OwnQueues

Consumers = Callable[..., Consumer]


@pytest.fixture
def own_queues(broker: Broker) -> OwnQueues:
    return broker.own_queues


def test_the_first_value_is_agreed_upon(broker: Broker, own_queues: OwnQueues) -> None:
    assert own_queues.agree("everyone", "one", b"a", 60.0) == b"a"
    assert own_queues.agree("everyone", "one", b"b", 60.0) == b"a"
    assert own_queues.agree("everyone", "two", b"b", 60.0) == b"b"
    assert own_queues.agree("others", "one", b"c", 60.0) == b"c"


def test_a_copy_is_published_once(broker: Broker, own_queues: OwnQueues, consumers: Consumers) -> None:
    copies = [(f"{name}.dq2", outgoing(f"task.{name}")) for name in "abc"]
    assert own_queues.publish("one", copies[:2], 60.0) == []
    assert own_queues.publish("one", copies, 60.0) == []
    assert own_queues.publish("two", copies[:1], 60.0) == []
    assert [broker.info(queue).ready for queue, _ in copies] == [2, 1, 1]
    assert {queue for queue, _ in copies} <= set(broker.queues())
    one = consumers("b.dq2")
    assert ids(take(one, "b.dq2")) == ["task.b"]
    # Also when the first one was taken
    assert own_queues.publish("one", copies, 60.0) == []
    assert take(one, "b.dq2") == []


def test_a_copy_rings(own_queues: OwnQueues, bell: Bell) -> None:
    bell.ask(["a.dq2"], 10.0)
    own_queues.publish("one", [("a.dq2", outgoing("task"))], 60.0)
    assert bell.answer() == "a.dq2"


def test_queues_that_take_nothing_are_told(broker: Broker, own_queues: OwnQueues) -> None:
    broker.configure("a.dq2", {"intake": "Reject"}, 1)
    copies = [(f"{name}.dq2", outgoing(f"task.{name}")) for name in "ab"]
    assert own_queues.publish("one", copies, 60.0) == ["a.dq2"]
    assert [broker.info(queue).ready for queue, _ in copies] == [0, 1]
