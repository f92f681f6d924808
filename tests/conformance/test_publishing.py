"""What is published comes out again: whole, by priority, in order, once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
from tests.conformance.making import ends, ids, outgoing, owner, read, several, take

from umbel import message as messages
from umbel.broker.base import Broker, Consumer, Kind
from umbel.errors import QueueClosed

Consumers = Callable[..., Consumer]


def test_messages_come_out_in_the_order_of_their_publishing(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several(["a", "b"]))
    broker.publish("q", [outgoing("c")])
    assert ids(take(consumers(), "q")) == ["a", "b", "c"]


def test_the_highest_priority_comes_first_and_each_keeps_its_order(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [outgoing(f"{priority}-{i}", priority=priority) for i in range(2) for priority in range(10)])
    consumer = consumers()
    got = [task for _ in range(5) for task in ids(take(consumer, "q", 4))]
    assert got == [f"{priority}-{i}" for priority in range(9, -1, -1) for i in range(2)]


def test_no_more_is_fetched_than_wanted(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    assert take(consumer, "q", 0) == []
    assert ids(take(consumer, "q", 2)) == ["a", "b"]
    assert ids(take(consumer, "q", 2)) == ["c"]


def test_an_empty_queue_gives_an_empty_batch(consumers: Consumers) -> None:
    consumer = consumers()
    before = time.time()
    batch = consumer.cycle("q", [], 10)
    assert (batch.deliveries, batch.next_due, batch.lost_tags, batch.more) == ([], None, [], False)
    assert before - 0.01 <= batch.now <= time.time() + 0.01


def test_a_batch_says_whether_more_is_there(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    assert consumer.cycle("q", [], 2).more
    assert not consumer.cycle("q", [], 2).more


def test_a_batch_names_the_queue_and_the_bound_on_deliveries(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("a"))
    batch = consumers().cycle("q", [], 1)
    assert batch.deliveries[0].queue == "q"
    assert batch.max_deliveries == 3


def test_queues_keep_apart(broker: Broker, consumers: Consumers) -> None:
    broker.publish("mail", several("a"))
    broker.publish("reports", several("b"))
    consumer = consumers("mail", "reports")
    assert ids(take(consumer, "mail")) == ["a"]
    assert ids(take(consumer, "reports")) == ["b"]


def test_a_message_goes_to_one_consumer_only(broker: Broker, consumers: Consumers) -> None:
    first, second = consumers(), consumers()
    broker.publish("q", several("abc"))
    assert ids(take(first, "q", 2)) == ["a", "b"]
    assert ids(take(second, "q")) == ["c"]


def test_a_message_arrives_byte_for_byte_but_for_the_time_of_enqueuing(broker: Broker, consumers: Consumers) -> None:
    body = bytes(range(256)) * 300 + os.urandom(1000)
    sent = outgoing("a", body=body, priority=7, attempt=258, lost=3, requeues=65535)
    before = time.time()
    broker.publish("q", [sent])
    (delivery,) = take(consumers(), "q")
    got = read(delivery)
    assert before - 2.0 <= got.enqueued_ms / 1000 <= time.time() + 2.0
    got.enqueued_ms = 0
    assert got.encode() == sent.payload
    assert got.body == body


def test_the_brokers_clock_overrules_what_the_producer_wrote(broker: Broker, consumers: Consumers) -> None:
    before = time.time()
    broker.publish("q", [outgoing("a", enqueued_ms=1)])
    (delivery,) = take(consumers(), "q")
    assert before - 0.01 <= read(delivery).enqueued_ms / 1000 <= time.time() + 0.01


def test_two_equal_sends_are_two_messages(broker: Broker, consumers: Consumers) -> None:
    for delay in (0.0, 0.001):
        broker.publish("q", [outgoing("a", delay=delay), outgoing("a", delay=delay)])
    time.sleep(0.005)
    assert ids(take(consumers(), "q")) == ["a"] * 4


def test_publishing_nothing_does_nothing(broker: Broker) -> None:
    broker.publish("q", [])
    assert broker.info("q").ready == 0


def test_a_thousand_messages_of_one_call_arrive_in_order(broker: Broker, consumers: Consumers) -> None:
    names = [str(number) for number in range(1000)]
    broker.publish("q", several(names))
    consumer = consumers()
    got: list[str] = []
    while batch := take(consumer, "q", 256):
        got += ids(batch)
    assert got == names


def test_a_closed_intake_refuses_all_of_a_call(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("a"))
    broker.configure("q", {"intake": "Reject"}, 1)
    with pytest.raises(QueueClosed, match=r"'q'.*Accept"):
        broker.publish("q", [outgoing("b"), outgoing("c", delay=60.0)])
    info = broker.info("q")
    assert (info.ready, info.delayed, info.intake_open) == (1, 0, False)


def test_a_closed_intake_lets_the_workers_go_on(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("ab"))
    broker.configure("q", {"intake": "Reject"}, 1)
    consumer = consumers()
    deliveries = take(consumer, "q", 1)
    assert ids(consumer.cycle("q", ends(deliveries), 1).deliveries) == ["b"]


def test_a_closed_intake_opens_again(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"intake": "Reject"}, 1)
    broker.configure("q", {"intake": "Accept"}, 2)
    broker.publish("q", several("a"))
    assert broker.info("q").intake_open
    assert ids(take(consumers(), "q")) == ["a"]


def test_all_brokers_on_one_store_see_the_same(broker_factory: Callable[[], Broker]) -> None:
    broker_factory().publish("q", several("a"))
    other = broker_factory()
    consumer = other.consumer(owner("q"))
    consumer.register()
    assert ids(take(consumer, "q")) == ["a"]
    consumer.close()


def test_queues_are_known_from_publishing_and_from_consuming(broker: Broker, consumers: Consumers) -> None:
    assert broker.queues() == []
    broker.publish("published", several("a"))
    consumers("consumed")
    assert sorted(broker.queues()) == ["consumed", "published"]


def test_a_used_queue_stays_known_when_it_is_empty(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    consumer.cycle("q", ends(take(consumer, "q")), 0)
    consumer.leave()
    assert broker.queues() == ["q"]


def test_purge_drops_what_is_ready_and_delayed_but_nothing_that_is_owned(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [outgoing("a"), outgoing("b"), outgoing("c", priority=0), outgoing("d", delay=60.0)])
    consumer = consumers()
    (delivery,) = take(consumer, "q", 1)
    assert broker.purge("q") == 3
    info = broker.info("q")
    assert (info.ready, info.delayed, info.in_flight) == (0, 0, 1)
    assert consumer.cycle("q", ends([delivery]), 1).lost_tags == []
    assert broker.purge("q") == 0


def test_a_queue_after_a_purge_works_on(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("a"))
    broker.purge("q")
    broker.publish("q", several("b"))
    assert ids(take(consumers(), "q")) == ["b"]


def test_an_unknown_queue_has_zeros(broker: Broker) -> None:
    info = broker.info("nowhere")
    assert (info.name, info.ready, info.delayed, info.in_flight, info.dead) == ("nowhere", 0, 0, 0, 0)
    assert (info.oldest_age, info.held, info.intake_open) == (0.0, False, True)
    assert broker.purge("nowhere") == 0
    assert broker.dead("nowhere") == []
    assert broker.promote("nowhere") is None
    assert broker.queues() == []


def test_the_numbers_of_a_queue_are_true_at_each_step(broker: Broker, consumers: Consumers) -> None:
    def numbers() -> tuple[int, int, int, int]:
        info = broker.info("q")
        return info.ready, info.delayed, info.in_flight, info.dead

    broker.publish("q", [*several("abcd"), outgoing("later", delay=60.0)])
    assert numbers() == (4, 1, 0, 0)
    consumer = consumers()
    first, second, third = take(consumer, "q", 3)
    assert numbers() == (1, 1, 3, 0)
    consumer.cycle("q", ends([first]), 0)
    assert numbers() == (1, 1, 2, 0)
    consumer.cycle("q", ends([second], Kind.DEAD, reason={"why": "test"}), 0)
    assert numbers() == (1, 1, 1, 1)
    consumer.cycle("q", ends([third], Kind.GIVE_BACK), 0)
    assert numbers() == (2, 1, 0, 1)


def test_the_oldest_age_is_of_the_message_that_is_served_next(broker: Broker, consumers: Consumers) -> None:
    began = time.monotonic()
    broker.publish("q", [outgoing("low", priority=1)])
    time.sleep(0.12)
    assert 0.1 <= broker.info("q").oldest_age < time.monotonic() - began + 0.02
    began = time.monotonic()
    broker.publish("q", [outgoing("high", priority=9)])
    assert broker.info("q").oldest_age < time.monotonic() - began + 0.02
    take(consumers(), "q")
    assert broker.info("q").oldest_age == 0.0


def test_the_head_keeps_its_length(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("a"))
    (delivery,) = take(consumers(), "q")
    assert len(delivery.payload) == len(outgoing("a").payload)
    assert messages.decode(delivery.payload).headers == {"id": "a", "task": "conformance"}
