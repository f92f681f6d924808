"""The settings of a queue are obeyed at each fetch."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance.making import ends, ids, several, take

from umbel.broker.base import Broker, Consumer, Kind, Liveness

Consumers = Callable[..., Consumer]


def test_a_held_queue_gives_nothing_until_it_is_resumed(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    broker.configure("q", {"dispatch": "Held"}, 1)
    consumer = consumers()
    assert take(consumer, "q") == []
    assert broker.info("q").held
    broker.configure("q", {"dispatch": "Enabled"}, 2)
    assert ids(take(consumer, "q")) == ["a", "b", "c"]
    assert not broker.info("q").held


def test_a_held_queue_takes_outcomes(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    first, second, third = take(consumer, "q")
    broker.configure("q", {"dispatch": "Held"}, 1)
    batch = consumer.cycle("q", [*ends([first]), *ends([second], Kind.GIVE_BACK)], 5)
    assert (batch.deliveries, batch.lost_tags) == ([], [])
    assert consumer.resume() == {"q": {third.tag: third.payload}}
    assert broker.info("q").ready == 1


def test_a_held_queue_takes_messages(broker: Broker) -> None:
    broker.configure("q", {"dispatch": "Held"}, 1)
    broker.publish("q", several("a"))
    assert broker.info("q").ready == 1


def test_no_more_run_at_once_than_the_limit(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_concurrency": 3}, 1)
    broker.publish("q", several("abcdef"))
    first, second = consumers(), consumers()
    assert ids(take(first, "q", 2)) == ["a", "b"]
    assert ids(take(second, "q", 2)) == ["c"]
    assert take(first, "q", 2) == []
    assert broker.info("q").in_flight == 3


def test_an_outcome_frees_its_place_within_the_same_call(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_concurrency": 2}, 1)
    broker.publish("q", several("abcd"))
    consumer = consumers()
    deliveries = take(consumer, "q", 5)
    assert ids(consumer.cycle("q", ends(deliveries[:1]), 5).deliveries) == ["c"]


def test_lost_outcomes_free_no_place(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_concurrency": 1}, 1)
    broker.publish("q", several("abc"))
    consumer = consumers()
    first = take(consumer, "q", 5)
    assert ids(consumer.cycle("q", ends(first), 5).deliveries) == ["b"]
    assert consumer.cycle("q", ends(first), 5).deliveries == []


def test_a_burial_frees_the_places_of_the_dead(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.configure("q", {"max_concurrency": 2}, 1)
    broker.publish("q", several("abc"))
    dead, living = consumers(), consumers()
    assert len(take(dead, "q")) == 2
    assert take(living, "q") == []
    liveness.bury(dead.owner.id)
    assert ids(take(living, "q")) == ["a", "b"]


def test_leaving_frees_the_places(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_concurrency": 1}, 1)
    broker.publish("q", several("a"))
    gone, living = consumers(), consumers()
    take(gone, "q")
    gone.leave()
    assert ids(take(living, "q")) == ["a"]


def test_a_lowered_limit_waits_for_what_runs(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abcdef"))
    consumer = consumers()
    deliveries = take(consumer, "q", 4)
    broker.configure("q", {"max_concurrency": 2}, 1)
    assert consumer.cycle("q", ends(deliveries[:2]), 5).deliveries == []
    assert ids(consumer.cycle("q", ends(deliveries[2:3]), 5).deliveries) == ["e"]


def test_a_limit_can_be_taken_away(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_concurrency": 1}, 1)
    broker.configure("q", {"max_concurrency": None}, 2)
    broker.publish("q", several("abc"))
    assert len(take(consumers(), "q")) == 3


def test_limits_of_one_queue_do_not_touch_another(broker: Broker, consumers: Consumers) -> None:
    broker.configure("a", {"max_concurrency": 1, "dispatch": "Held"}, 1)
    broker.publish("b", several("12"))
    assert len(take(consumers("a", "b"), "b")) == 2


def test_the_bound_on_deliveries_is_told_with_each_batch(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_deliveries": 7}, 1)
    assert consumers().cycle("q", [], 0).max_deliveries == 7


def test_older_settings_never_replace_newer_ones(broker: Broker) -> None:
    assert broker.configure("q", {"dispatch": "Held"}, 5)
    assert not broker.configure("q", {"dispatch": "Enabled"}, 4)
    assert broker.info("q").held
    assert broker.configure("q", {"dispatch": "Enabled"}, 5)
    assert not broker.info("q").held
    assert broker.configure("q", {"dispatch": "Held"}, 6)
    assert broker.info("q").held


def test_a_configured_queue_is_known(broker: Broker) -> None:
    broker.configure("q", {"intake": "Accept"}, 1)
    assert broker.queues() == ["q"]
