"""An owner that was buried is fenced off: what it reports is dropped, whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.adapters import Adapter
from tests.conformance.making import end, ids, owner, read, record, several, take

from umbel.broker.base import Broker, Consumer, Kind, Liveness, OwnerLost
from umbel.results.base import Results

Consumers = Callable[..., Consumer]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_buried_owner_is_told_and_its_outcomes_are_dropped(
    kind: Kind, broker: Broker, consumers: Consumers, liveness: Liveness, results: Results
) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    liveness.bury(consumer.owner.id)
    outcome = end(delivery, kind, record=record().encode(), payload=delivery.payload, reason={})
    with pytest.raises(OwnerLost):
        consumer.cycle("q", [outcome], 5)
    info = broker.info("q")
    assert (info.ready, info.delayed, info.in_flight, info.dead) == (1, 0, 0, 0)
    assert results.get("a") is None


def test_a_buried_owner_fetches_nothing(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    consumer = consumers()
    liveness.bury(consumer.owner.id)
    broker.publish("q", several("a"))
    with pytest.raises(OwnerLost):
        consumer.cycle("q", [], 5)
    assert broker.info("q").ready == 1


def test_a_buried_owner_is_fenced_in_all_its_queues(consumers: Consumers, liveness: Liveness) -> None:
    consumer = consumers("a", "b", "c")
    liveness.bury(consumer.owner.id)
    for queue in "abc":
        with pytest.raises(OwnerLost):
            consumer.cycle(queue, [], 1)


def test_a_buried_owner_cannot_resume(consumers: Consumers, liveness: Liveness) -> None:
    consumer = consumers()
    liveness.bury(consumer.owner.id)
    with pytest.raises(OwnerLost):
        consumer.resume()


def test_a_late_outcome_does_not_end_what_another_runs(
    broker: Broker, consumers: Consumers, liveness: Liveness, results: Results
) -> None:
    broker.publish("q", several("a"))
    frozen, other = consumers(), consumers()
    (delivery,) = take(frozen, "q")
    liveness.bury(frozen.owner.id)
    (again,) = take(other, "q")
    with pytest.raises(OwnerLost):
        frozen.cycle("q", [end(delivery, record=record(value=b"late").encode())], 0)
    assert other.resume() == {"q": {again.tag: again.payload}}
    other.cycle("q", [end(again, record=record(value=b"right", attempt=1).encode())], 0)
    stored = results.get("a")
    assert stored is not None
    assert stored.value == b"right"


def test_a_fresh_owner_takes_the_place_of_the_buried(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    take(consumer, "q")
    liveness.bury(consumer.owner.id)
    consumer.close()
    fresh = consumers()
    (delivery,) = take(fresh, "q")
    assert ids([delivery]) == ["a"]
    assert read(delivery).attempt == 1


def test_an_emptied_broker_loses_the_owner(adapter: Adapter, broker: Broker, consumers: Consumers) -> None:
    consumer = consumers()
    broker.publish("q", several("a"))
    (delivery,) = take(consumer, "q")
    adapter.empty()
    with pytest.raises(OwnerLost):
        consumer.cycle("q", [end(delivery)], 1)
    with pytest.raises(OwnerLost):
        consumer.resume()
    broker.publish("q", several("b"))
    assert ids(take(consumers(), "q")) == ["b"]


def test_leaving_gives_back_in_order_and_ends_the_owner(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    broker.publish("q", several("abc"))
    broker.publish("p", several("d"))
    consumer = consumers("q", "p")
    take(consumer, "q", 2)
    take(consumer, "p")
    consumer.leave()
    assert broker.info("q").in_flight == 0
    assert liveness.owners() == []
    assert liveness.scores() == {}
    deliveries = take(consumers("q"), "q")
    assert ids(deliveries) == ["a", "b", "c"]
    assert ids(take(consumers("p"), "p")) == ["d"]
    for delivery in deliveries:
        message = read(delivery)
        assert (message.lost, message.suspect, message.requeues) == (0, 0, 0)


def test_who_left_is_fenced(broker: Broker, consumers: Consumers) -> None:
    consumer = consumers()
    consumer.leave()
    with pytest.raises(OwnerLost):
        consumer.cycle("q", [], 1)
    with pytest.raises(OwnerLost):
        consumer.resume()


def test_closing_keeps_what_is_owned(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    consumer.close()
    assert liveness.held(consumer.owner.id) == {"q": {delivery.tag: delivery.payload}}
    assert consumer.resume() == {"q": {delivery.tag: delivery.payload}}
    assert consumer.cycle("q", [end(delivery)], 0).lost_tags == []


def test_resume_returns_what_is_held_in_each_queue(broker: Broker, consumers: Consumers) -> None:
    broker.publish("a", several("12"))
    broker.publish("b", several("3"))
    consumer = consumers("a", "b", "c")
    held = {queue: {d.tag: d.payload for d in take(consumer, queue)} for queue in "abc"}
    assert consumer.resume() == held
    assert [len(tags) for tags in held.values()] == [2, 1, 0]


def test_an_owner_that_never_registered_owns_nothing(broker: Broker) -> None:
    consumer = broker.consumer(owner("q"))
    with pytest.raises(OwnerLost):
        consumer.resume()
    consumer.close()
