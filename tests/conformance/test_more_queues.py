"""An owner takes up queues while it works, and lets go of them; what it holds of each is its own until it is reported."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.adapters import Adapter
from tests.conformance.making import ids, outgoing, several, take

from umbel.broker.base import Broker, Consumer, Kind, Liveness, Outcome, OwnerLost

Consumers = Callable[..., Consumer]


def test_a_queue_is_taken_up_later(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    consumer = consumers("q")
    broker.publish("more", several(["a", "b"]))
    consumer.consume("more")
    assert ids(take(consumer, "more")) == ["a", "b"]
    assert "more" in broker.queues()
    (owner,) = liveness.owners()
    assert sorted(owner.queues) == ["more", "q"]
    assert list(liveness.held(owner.id)["more"].values())


def test_no_tag_is_used_twice(broker: Broker, consumers: Consumers) -> None:
    consumer = consumers("q", "r")
    consumer.consume("s")
    tags = set()
    for queue in ("q", "r", "s", "s"):
        broker.publish(queue, [outgoing(f"in {queue}")])
        (delivery,) = consumer.cycle(queue, [], 1).deliveries
        tags.add(delivery.tag)
    # Also not where a queue was let go of in between
    consumer.cancel("s")
    consumer.consume("s")
    broker.publish("s", [outgoing("again")])
    (delivery,) = consumer.cycle("s", [], 1).deliveries
    assert len({*tags, delivery.tag}) == 5


def test_what_is_held_of_a_cancelled_queue_is_reported_all_the_same(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    # Given an owner that holds two messages of a queue that it then lets go of
    consumer = consumers("q", "r")
    broker.publish("r", several(["runs", "waits"]))
    first, second = consumer.cycle("r", [], 2).deliveries
    consumer.cancel("r")
    (owner,) = liveness.owners()
    assert owner.queues == ["q"]
    # Then one ends, the other goes back, and others get it
    outcomes = [Outcome(first.tag, Kind.ACK), Outcome(second.tag, Kind.GIVE_BACK)]
    assert consumer.cycle("r", outcomes, 0).lost_tags == []
    assert ids(take(consumers("r"), "r")) == ["waits"]
    assert broker.info("r").in_flight == 1


def test_a_burial_finds_what_is_held_of_queues_that_came_or_went(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    consumer = consumers("q", "r")
    consumer.consume("s")
    for queue in ("q", "r", "s"):
        broker.publish(queue, [outgoing(f"in {queue}")])
        take(consumer, queue)
    consumer.cancel("r")
    assert liveness.bury(consumer.owner.id) == 3
    assert [broker.info(queue).ready for queue in ("q", "r", "s")] == [1, 1, 1]
    for queue in ("q", "r", "s"):
        with pytest.raises(OwnerLost):
            consumer.cycle(queue, [], 1)


def test_who_leaves_gives_back_what_it_held_of_all_queues(broker: Broker, consumers: Consumers) -> None:
    consumer = consumers("q")
    consumer.consume("r")
    broker.publish("r", [outgoing("a")])
    take(consumer, "r")
    consumer.cancel("r")
    consumer.leave()
    assert broker.info("r").ready == 1


def test_resuming_finds_queues_that_came_later(broker: Broker, consumers: Consumers) -> None:
    consumer = consumers("q")
    consumer.consume("r")
    broker.publish("r", [outgoing("a")])
    (delivery,) = take(consumer, "r")
    held = consumer.resume()
    assert list(held["r"]) == [delivery.tag]


@pytest.mark.parametrize("begun", [False, True], ids=["buried", "dying"])
def test_a_buried_owner_takes_nothing_up(
    adapter: Adapter, broker: Broker, consumers: Consumers, liveness: Liveness, begun: bool
) -> None:
    consumer = consumers("q")
    if begun:
        adapter.begin_burial(consumer.owner.id)
    else:
        liveness.bury(consumer.owner.id)
    with pytest.raises(OwnerLost):
        consumer.consume("r")
    with pytest.raises(OwnerLost):
        consumer.cancel("q")
    assert liveness.owners() == []
