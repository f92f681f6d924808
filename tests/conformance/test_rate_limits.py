"""A queue with a rate limit lets so many messages go, and says when the next one may."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.conformance.making import SILENCE, ends, ids, rung, several, take
from tests.conformance.waiting import until

from umbel.broker.base import Bell, Broker, Consumer, Kind
from umbel.rates import RateLimit

Consumers = Callable[..., Consumer]
#: None starts again while a test runs.
SLOW = RateLimit(1, 100.0)


def test_the_first_goes_at_once_and_the_next_has_to_wait(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"rate_limit": SLOW}, 1)
    broker.publish("q", several("abc"))
    consumer = consumers()
    assert ids(take(consumer, "q")) == ["a"]
    batch = consumer.cycle("q", [], 5)
    assert batch.deliveries == []
    assert not batch.more
    assert batch.limited is not None
    assert 50.0 < batch.limited <= 100.0


def test_after_a_quiet_time_a_burst_goes_at_once(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"rate_limit": RateLimit(1, 100.0, burst=3)}, 1)
    broker.publish("q", several("abcde"))
    first, second = consumers(), consumers()
    assert ids(take(first, "q", 2)) == ["a", "b"]
    assert ids(take(second, "q", 2)) == ["c"]
    assert take(first, "q") == []


def test_as_time_passes_more_may_go(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"rate_limit": RateLimit(20, 1.0, burst=1)}, 1)
    broker.publish("q", several("abcdef"))
    consumer = consumers()
    began = time.monotonic()
    got: list[str] = []
    until(lambda: got.extend(ids(take(consumer, "q"))) or len(got) == 6)
    assert time.monotonic() - began >= 5 * 0.05 - 0.01
    assert got == list("abcdef")


def test_without_messages_there_is_nothing_to_wait_for(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"rate_limit": SLOW}, 1)
    broker.publish("q", several("a"))
    consumer = consumers()
    take(consumer, "q")
    assert consumer.cycle("q", [], 5).limited is None


def test_a_queue_without_a_limit_has_nothing_to_wait_for(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    assert consumers().cycle("q", [], 1).limited is None


def test_what_is_given_back_unstarted_does_not_count(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"rate_limit": RateLimit(1, 100.0, burst=2)}, 1)
    broker.publish("q", several("abc"))
    consumer = consumers()
    held = take(consumer, "q")
    assert ids(held) == ["a", "b"]
    assert ids(consumer.cycle("q", ends(held[1:], Kind.GIVE_BACK), 5).deliveries) == ["b"]
    assert take(consumer, "q") == []


def test_one_watches_and_the_others_sleep_longer(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"rate_limit": SLOW}, 1)
    broker.publish("q", several("abc"))
    watcher, other = consumers(), consumers()
    take(watcher, "q")
    began = time.monotonic()
    soon, late = watcher.cycle("q", [], 1).limited, other.cycle("q", [], 1).limited
    between = time.monotonic() - began
    again = watcher.cycle("q", [], 1).limited
    assert soon is not None
    assert late is not None
    assert again is not None
    assert again <= soon
    assert late + between > soon + 0.5


def test_who_takes_has_another_one_watch(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.configure("q", {"rate_limit": SLOW}, 1)
    broker.publish("q", several("abc"))
    consumer = consumers()
    assert rung(bell, ["q"]) == "q"
    assert ids(take(consumer, "q")) == ["a"]
    assert rung(bell, ["q"]) == "q"
    assert take(consumers(), "q") == []
    assert rung(bell, ["q"], SILENCE) is None, "who is told to wait must not wake others"


def test_a_limit_can_be_raised_and_taken_away(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"rate_limit": SLOW}, 1)
    broker.publish("q", several("abcdef"))
    consumer = consumers()
    assert ids(take(consumer, "q")) == ["a"]
    broker.configure("q", {"rate_limit": RateLimit(1000, 1.0, burst=2)}, 2)
    got: list[str] = []
    until(lambda: got.extend(ids(take(consumer, "q", 1))) or len(got) == 2)
    broker.configure("q", {"rate_limit": None}, 3)
    assert ids(take(consumer, "q")) == ["d", "e", "f"]


def test_settings_are_read_back(broker: Broker) -> None:
    given = {
        "rate_limit": RateLimit(100, 60.0, burst=7),
        "max_length": 5,
        "overflow": "DropOldest",
        "max_concurrency": 3,
        "dispatch": "Held",
        "group_weights": {"acme": 3},
    }
    assert broker.settings("q") == {"serial": -1}
    broker.configure("q", given, 1)
    assert broker.settings("q") == given | {"serial": 1}
    broker.configure("q", {"rate_limit": RateLimit(5, 1.0), "max_length": None, "overflow": None}, 2)
    assert broker.settings("q") == {
        "rate_limit": RateLimit(5, 1.0),
        "max_concurrency": 3,
        "dispatch": "Held",
        "group_weights": {"acme": 3},
        "serial": 2,
    }
