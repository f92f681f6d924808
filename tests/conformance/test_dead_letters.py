"""Dead letters are kept with their reason, the newest first, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.conformance.making import end, ids, several, take
from tests.conformance.waiting import until

from umbel.broker.base import Broker, Consumer, Delivery, Kind
from umbel.results.base import Results

Consumers = Callable[..., Consumer]


def _die(consumer: Consumer, delivery: Delivery) -> None:
    """Report a dead letter, then wait until the broker's clock has moved, so that the next one is later."""
    now = consumer.cycle("q", [end(delivery, Kind.DEAD, reason={"of": ids([delivery])[0]})], 0).now
    until(lambda: consumer.cycle("q", [], 0).now > now)


def test_the_newest_come_first(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    for delivery in take(consumer, "q"):
        _die(consumer, delivery)
    letters = broker.dead("q")
    assert ids(letters) == ["c", "b", "a"]
    assert [letter.reason for letter in letters] == [{"of": "c"}, {"of": "b"}, {"of": "a"}]
    assert letters[0].died > letters[1].died > letters[2].died > time.time() - 60.0


def test_they_are_read_page_by_page(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abcde"))
    consumer = consumers()
    for delivery in take(consumer, "q"):
        _die(consumer, delivery)
    assert ids(broker.dead("q", 2)) == ["e", "d"]
    assert ids(broker.dead("q", 2, 2)) == ["c", "b"]
    assert ids(broker.dead("q", 2, 4)) == ["a"]
    assert broker.dead("q", 2, 5) == []


def test_the_count_is_capped(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"dead_max": 2}, 1)
    broker.publish("q", several("abc"))
    consumer = consumers()
    for delivery in take(consumer, "q"):
        _die(consumer, delivery)
    assert ids(broker.dead("q")) == ["c", "b"]
    assert broker.info("q").dead == 2


def test_old_ones_are_dropped(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"dead_retention": 0.1}, 1)
    broker.publish("q", several("ab"))
    consumer = consumers()
    first, second = take(consumer, "q")
    _die(consumer, first)
    time.sleep(0.12)
    _die(consumer, second)
    assert ids(broker.dead("q")) == ["b"]


def test_discarded_ones_are_not_kept_but_stored_as_failed(
    broker: Broker, consumers: Consumers, results: Results
) -> None:
    from tests.conformance.making import record

    broker.configure("q", {"dead_policy": "Discard"}, 1)
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    consumer.cycle("q", [end(delivery, Kind.DEAD, reason={}, record=record("FAILURE").encode())], 0)
    assert broker.dead("q") == []
    info = broker.info("q")
    assert (info.ready, info.in_flight, info.dead) == (0, 0, 0)
    assert results.get("a") is not None


@pytest.mark.parametrize("reason", [None, {}, {"text": "ä \n \x00 \U0001f33c", "nested": {"list": [1, None]}}])
def test_any_reason_that_json_carries_is_kept(
    reason: dict[str, object] | None, broker: Broker, consumers: Consumers
) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    consumer.cycle("q", [end(delivery, Kind.DEAD, reason=reason)], 0)
    assert broker.dead("q")[0].reason == (reason or {})


def test_dead_letters_survive_a_purge(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    _die(consumer, take(consumer, "q")[0])
    assert broker.purge("q") == 0
    assert ids(broker.dead("q")) == ["a"]
