"""Delayed messages wait in the broker, and everybody is told when the next one is due."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.conformance.making import SILENCE, ids, outgoing, read, rung, several, take
from tests.conformance.waiting import until

from umbel.broker.base import Bell, Broker, Consumer

Consumers = Callable[..., Consumer]


def test_a_delayed_message_comes_when_it_is_due_and_not_before(broker: Broker, consumers: Consumers) -> None:
    consumer = consumers()
    sent = time.monotonic()
    broker.publish("q", [outgoing("a", delay=0.25)])
    batch = until(lambda: batch if (batch := consumer.cycle("q", [], 1)).deliveries else None)
    assert time.monotonic() - sent >= 0.24
    assert (ids(batch.deliveries), batch.next_due) == (["a"], None)


def test_who_finds_nothing_due_is_told_when_to_look_again(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [outgoing("a", delay=60.0)])
    batch = consumers().cycle("q", [], 1)
    assert batch.deliveries == []
    assert batch.next_due is not None
    assert 0.0 < batch.next_due <= 60.001


def test_no_delayed_message_comes_a_fraction_of_a_millisecond_early(broker: Broker, consumers: Consumers) -> None:
    consumer = consumers()
    due: dict[str, float] = {}
    for number in range(200):
        delay = 0.02 + number * 0.00037
        due[f"{number}"] = time.time() + delay
        broker.publish("q", [outgoing(f"{number}", delay=delay)])
    deadline = time.monotonic() + 60.0
    while due:
        deliveries = consumer.cycle("q", [], 1).deliveries
        now = time.time()
        assert [task_id for task_id in ids(deliveries) if now < due.pop(task_id)] == []
        assert time.monotonic() < deadline


def test_the_next_due_is_the_earliest_of_those_left(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [outgoing("late", delay=500.0), outgoing("later", delay=1000.0), outgoing("now", delay=0.01)])
    consumer = consumers()
    time.sleep(0.02)
    batch = consumer.cycle("q", [], 0)
    assert batch.next_due == pytest.approx(500.0, abs=60.0)
    assert ids(take(consumer, "q")) == ["now"]


def test_due_messages_come_in_the_order_in_which_they_are_due(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [outgoing("c", delay=0.06), outgoing("a", delay=0.02), outgoing("b", delay=0.04)])
    consumer = consumers()
    time.sleep(0.08)
    assert ids(take(consumer, "q")) == ["a", "b", "c"]


def test_due_messages_stand_behind_what_waits_and_go_by_priority(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [outgoing("due", delay=0.01), outgoing("urgent", delay=0.01, priority=9), outgoing("waits")])
    consumer = consumers()
    time.sleep(0.03)
    assert ids(take(consumer, "q")) == ["urgent", "waits", "due"]


def test_a_delayed_message_keeps_the_time_of_its_sending(broker: Broker, consumers: Consumers) -> None:
    before = time.time()
    broker.publish("q", [outgoing("a", delay=0.2)])
    published = time.time()
    consumer = consumers()
    (delivery,) = until(lambda: take(consumer, "q"))
    assert before - 0.01 <= read(delivery).enqueued_ms / 1000 <= published + 0.01


def test_more_due_messages_than_one_call_promotes_come_one_after_the_other(
    broker: Broker, consumers: Consumers
) -> None:
    broker.publish("q", several(map(str, range(700)), delay=0.005))
    consumer = consumers()
    time.sleep(0.02)
    got: list[str] = []
    until(lambda: got.extend(ids(take(consumer, "q"))) or len(got) == 700)
    assert sorted(got, key=int) == [str(number) for number in range(700)]


def test_promote_makes_due_messages_ready_without_a_worker(broker: Broker) -> None:
    broker.publish("q", [outgoing("a", delay=0.01), outgoing("b", delay=500.0)])
    time.sleep(0.03)
    assert broker.promote("q") == pytest.approx(500.0, abs=60.0)
    info = broker.info("q")
    assert (info.ready, info.delayed) == (1, 1)


def test_promote_says_none_when_nothing_is_left(broker: Broker) -> None:
    broker.publish("q", several(map(str, range(300)), delay=0.005))
    time.sleep(0.02)
    assert broker.promote("q") is None
    assert broker.info("q").ready == 300


def test_promoted_messages_ring(broker: Broker, bell: Bell) -> None:
    broker.publish("q", [outgoing("a", delay=0.01)])
    assert rung(bell, ["q"]) == "q"
    time.sleep(0.03)
    broker.promote("q")
    assert rung(bell, ["q"]) == "q"


def test_a_delayed_message_rings_only_as_the_earliest(broker: Broker, bell: Bell) -> None:
    broker.publish("q", [outgoing("a", delay=100.0)])
    assert rung(bell, ["q"]) == "q"
    broker.publish("q", [outgoing("b", delay=200.0)])
    assert rung(bell, ["q"], SILENCE) is None
    broker.publish("q", [outgoing("c", delay=50.0)])
    assert rung(bell, ["q"]) == "q"


def test_a_held_queue_keeps_what_becomes_due(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"dispatch": "Held"}, 1)
    broker.publish("q", [outgoing("a", delay=0.01)])
    consumer = consumers()
    time.sleep(0.03)
    assert take(consumer, "q") == []
    broker.configure("q", {"dispatch": "Enabled"}, 2)
    assert ids(take(consumer, "q")) == ["a"]
