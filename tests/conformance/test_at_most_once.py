"""A message that was marked as begun never looks as if it had not, whatever becomes of who marked it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.making import end, outgoing, read, several, take

from umbel.broker.base import Broker, Charge, Consumer, Kind, Liveness, OwnerLost
from umbel.message import BEGUN

Consumers = Callable[..., Consumer]


@pytest.mark.parametrize("charge", list(Charge))
def test_the_mark_stays_when_its_owner_is_buried(
    charge: Charge, broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    broker.publish("q", several("ab"))
    dead = consumers()
    first, _ = take(dead, "q")
    assert dead.begin(first)
    assert liveness.bury(dead.owner.id, charge=charge, guilty=first.tag if charge is Charge.LOST else None) == 2
    heir = consumers()
    found = [*take(heir, "q"), *take(heir, "q")]  # a suspect comes alone
    again = {read(delivery).headers["id"]: read(delivery).flags for delivery in found}
    assert again == {"a": BEGUN, "b": 0}


def test_it_is_seen_by_who_resumes_and_may_be_set_twice(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    assert consumer.begin(delivery)
    assert consumer.begin(delivery)  # the answer to the first call was lost
    held = consumer.resume()["q"]
    assert held[delivery.tag][1] == BEGUN
    assert consumer.cycle("q", [end(delivery)], 1).lost_tags == []


def test_what_is_not_held_any_more_is_not_marked(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    consumer.cycle("q", [end(delivery)], 0)
    assert not consumer.begin(delivery)
    liveness.bury(consumer.owner.id)
    with pytest.raises(OwnerLost):
        consumer.begin(delivery)


def test_a_retry_is_a_message_without_the_mark(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    assert consumer.begin(delivery)
    batch = consumer.cycle("q", [end(delivery, Kind.RETRY, payload=outgoing("a", attempt=1).payload)], 1)
    assert [read(again).flags for again in batch.deliveries] == [0]
