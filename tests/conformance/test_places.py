"""Concurrency limits by key: what has no place is parked, and woken when one is free."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.adapters import Adapter
from tests.conformance.making import SILENCE, end, ends, ids, outgoing, read, rung, several, take

from umbel.broker.base import Bell, Broker, Consumer, Delivery, Kind, Liveness, OwnerLost
from umbel.broker.tickets import Admission, Ticket
from umbel.message import WOKEN

Consumers = Callable[..., Consumer]
ONE = Ticket(place="c:7", places=1)
TWO = Ticket(place="c:7", places=2)


def asked(consumer: Consumer, deliveries: list[Delivery], ticket: Ticket = ONE) -> list[Admission]:
    return [consumer.admit(delivery, ticket) for delivery in deliveries]


def test_what_has_no_place_is_parked(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    assert asked(consumer, take(consumer, "q")) == ["go", "parked", "parked"]
    info = broker.info("q")
    assert (info.in_flight, info.parked, info.ready) == (1, 2, 0)
    assert len(consumer.resume()["q"]) == 1


def test_as_many_run_as_there_are_places(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    first, second = consumers(), consumers()
    assert asked(first, take(first, "q", 1), TWO) == ["go"]
    assert asked(second, take(second, "q"), TWO) == ["go", "parked"]


def test_keys_have_places_of_their_own(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    deliveries = take(consumer, "q")
    assert asked(consumer, deliveries[:1], ONE) == ["go"]
    assert asked(consumer, deliveries[1:2], Ticket(place="c:77", places=1)) == ["go"]
    assert asked(consumer, deliveries[2:], Ticket(place="c:", places=1)) == ["go"]


@pytest.mark.parametrize("kind", [Kind.ACK, Kind.DEAD, Kind.RETRY, Kind.GIVE_BACK, Kind.REQUEUE])
def test_the_end_of_a_delivery_wakes_the_next_one_in_the_same_call(
    broker: Broker, consumers: Consumers, kind: Kind
) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    deliveries = take(consumer, "q")
    asked(consumer, deliveries)
    later = outgoing("a").payload if kind is Kind.RETRY else b""
    wait = 60.0 if kind in (Kind.RETRY, Kind.GIVE_BACK) else 0.0
    batch = consumer.cycle("q", [end(deliveries[0], kind, place=True, payload=later, delay=wait)], 9)
    woken = [delivery for delivery in batch.deliveries if read(delivery).headers["id"] == "b"]
    assert len(woken) == 1
    assert read(woken[0]).flags & WOKEN
    assert asked(consumer, woken) == ["go"]
    assert broker.info("q").parked == 1


def test_the_woken_are_the_highest_priority_then_the_oldest(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [outgoing("holds")])
    consumer = consumers()
    holder = take(consumer, "q")
    asked(consumer, holder)
    broker.publish("q", [outgoing("low", priority=1)])
    broker.publish("q", [outgoing("high", priority=8)])
    asked(consumer, take(consumer, "q"))
    order = []
    while holder:
        batch = consumer.cycle("q", ends(holder, place=True), 1)
        holder = batch.deliveries
        asked(consumer, holder)
        order += ids(holder)
    assert order == ["high", "low"]
    assert broker.info("q").in_flight == 0


def test_a_message_parked_again_keeps_its_rank(broker: Broker, consumers: Consumers) -> None:
    for task_id in "abc":
        broker.publish("q", [outgoing(task_id)])
    consumer = consumers()
    first, second, third = take(consumer, "q")
    assert asked(consumer, [first, second]) == ["go", "parked"]
    (woken,) = consumer.cycle("q", [end(first, place=True)], 9).deliveries
    assert asked(consumer, [third, woken]) == ["go", "parked"]  # the third was quicker
    broker.publish("q", [outgoing("d")])
    asked(consumer, take(consumer, "q"))
    assert ids(consumer.cycle("q", [end(third, place=True)], 9).deliveries) == ["b"]


def test_a_delivery_that_asks_again_keeps_its_place(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("ab"))
    consumer = consumers()
    first, second = take(consumer, "q")
    assert asked(consumer, [first, first, second]) == ["go", "go", "parked"]
    assert len(consumer.cycle("q", [end(first, place=True)], 9).deliveries) == 1


def test_a_place_is_freed_once(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abcd"))
    consumer = consumers()
    deliveries = take(consumer, "q")
    assert asked(consumer, deliveries, TWO) == ["go", "go", "parked", "parked"]
    assert ids(consumer.cycle("q", [end(deliveries[0], place=True)], 9).deliveries) == ["c"]
    assert consumer.cycle("q", [end(deliveries[0], place=True)], 9).deliveries == []
    assert broker.info("q").parked == 1


def test_a_burial_frees_the_places_and_wakes(
    broker: Broker, consumers: Consumers, liveness: Liveness, bell: Bell
) -> None:
    broker.publish("q", several("ab"))
    dead, living = consumers(), consumers()
    asked(dead, take(dead, "q"))
    assert rung(bell, ["q"]) == "q"  # of the publish
    assert liveness.bury(dead.owner.id) == 1
    assert rung(bell, ["q"]) == "q"
    back = take(living, "q")
    assert ids(back) == ["a", "b"]  # what lost its place comes first
    assert asked(living, back) == ["go", "parked"]


def test_a_burial_frees_a_place_whose_message_was_acknowledged_before(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    broker.publish("q", several("ab"))
    dead, living = consumers(), consumers()
    deliveries = take(dead, "q")
    asked(dead, deliveries)
    assert dead.cycle("q", [end(deliveries[0])], 0).lost_tags == []  # acks_late=False: the place is still taken
    assert take(living, "q") == []
    assert liveness.bury(dead.owner.id) == 0
    back = take(living, "q")
    assert asked(living, back) == ["go"]
    assert ids(back) == ["b"]


def test_an_owner_that_leaves_frees_its_places(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("ab"))
    leaving, living = consumers(), consumers()
    asked(leaving, take(leaving, "q"))
    leaving.leave()
    assert asked(living, take(living, "q")) == ["go", "parked"]


def test_who_settles_for_another_frees_its_place(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", several("ab"))
    killed, living = consumers(), consumers()
    deliveries = take(killed, "q")
    asked(killed, deliveries)
    assert liveness.settle(killed.owner.id, "q", end(deliveries[0]))
    assert asked(living, take(living, "q")) == ["go"]


def test_a_buried_owner_gets_no_place(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", several("a"))
    dead, living = consumers(), consumers()
    (delivery,) = take(dead, "q")
    liveness.bury(dead.owner.id)
    with pytest.raises(OwnerLost):
        dead.admit(delivery, ONE)
    assert asked(living, take(living, "q")) == ["go"]


def test_a_message_that_is_gone_gets_no_place(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("ab"))
    consumer = consumers()
    first, second = take(consumer, "q")
    consumer.cycle("q", [end(first)], 0)
    assert asked(consumer, [first, second]) == ["gone", "go"]


def test_what_is_parked_makes_room_under_the_queues_limit(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_concurrency": 2}, 1)
    broker.publish("q", several("abcd"))
    consumer = consumers()
    assert asked(consumer, take(consumer, "q")) == ["go", "parked"]
    assert ids(take(consumer, "q")) == ["c"]


def test_a_purge_drops_what_is_parked(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    deliveries = take(consumer, "q")
    asked(consumer, deliveries)
    assert broker.purge("q") == 2
    assert consumer.cycle("q", [end(deliveries[0], place=True)], 9).deliveries == []
    assert broker.info("q").parked == 0


def test_a_parked_message_is_not_changed(broker: Broker, consumers: Consumers) -> None:
    body = bytes(range(256)) * 3
    broker.publish("q", [outgoing("a"), outgoing("b", body=body, priority=9, attempt=3, lost=1)])
    consumer = consumers()
    deliveries = take(consumer, "q")
    before = {delivery.payload[2:] for delivery in deliveries}
    high = [delivery for delivery in deliveries if read(delivery).headers["id"] == "b"]
    low = [delivery for delivery in deliveries if delivery not in high]
    asked(consumer, [*low, *high])
    (woken,) = consumer.cycle("q", ends(low, place=True), 9).deliveries
    assert woken.payload[2:] in before
    assert read(woken).body == body


def test_parked_messages_ring_no_bell(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.publish("q", several("ab"))
    consumer = consumers()
    assert rung(bell, ["q"]) == "q"
    asked(consumer, take(consumer, "q"))
    assert rung(bell, ["q"], SILENCE) is None


def test_an_emptied_broker_holds_no_place(adapter: Adapter, broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("a"))
    lost = consumers()
    (delivery,) = take(lost, "q")
    asked(lost, [delivery])
    adapter.empty()
    with pytest.raises(OwnerLost):
        lost.cycle("q", [end(delivery, place=True)], 1)
    broker.publish("q", several("b"))
    fresh = consumers()
    assert asked(fresh, take(fresh, "q")) == ["go"]


def test_who_waits_for_a_place_that_nobody_has_is_woken(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    """What was woken ended without a place, in a worker that does not know its task."""
    for task_id in "abcd":
        broker.publish("q", [outgoing(task_id)])
    consumer = consumers()
    deliveries = take(consumer, "q")
    asked(consumer, deliveries[:3])
    assert asked(consumer, deliveries[3:], Ticket(place="busy", places=1)) == ["go"]
    broker.publish("q", [outgoing("waits")])
    assert asked(consumer, take(consumer, "q"), Ticket(place="busy", places=1)) == ["parked"]
    (woken,) = consumer.cycle("q", [end(deliveries[0], place=True)], 9).deliveries
    consumer.cycle("q", [end(woken, Kind.DEAD)], 0)
    while rung(bell, ["q"], SILENCE):
        pass
    assert broker.wake_parked("q") == 1
    assert rung(bell, ["q"]) == "q"
    (stranded,) = take(consumer, "q")
    assert ids([stranded]) == ["c"]
    assert asked(consumer, [stranded]) == ["go"]
    assert broker.wake_parked("q") == 0  # the other key is busy
    assert broker.info("q").parked == 1


def test_with_nothing_parked_nobody_is_woken(broker: Broker) -> None:
    assert broker.wake_parked("q") == 0
