"""A queue with a bound never holds more than that: it refuses, or it drops, and what it drops does not vanish."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.making import end, ends, ids, outgoing, record, several, take

from umbel.broker.base import Broker, Consumer, Kind, Liveness
from umbel.errors import QueueFull
from umbel.results.base import Results

Consumers = Callable[..., Consumer]


def test_a_full_queue_refuses_more(broker: Broker) -> None:
    broker.configure("q", {"max_length": 3, "overflow": "Reject"}, 1)
    broker.publish("q", several("abc"))
    with pytest.raises(QueueFull, match=r"'q' is full: 3 tasks wait.*and 3 may \(max_length\).*raise") as raised:
        broker.publish("q", several("d"))
    assert raised.value.task_ids == ("d",)
    assert broker.info("q").ready == 3


def test_a_bound_without_a_policy_refuses(broker: Broker) -> None:
    broker.configure("q", {"max_length": 1}, 1)
    broker.publish("q", several("a"))
    with pytest.raises(QueueFull):
        broker.publish("q", several("b"))


def test_a_step_that_does_not_fit_is_refused_as_a_whole(broker: Broker) -> None:
    broker.configure("q", {"max_length": 3, "overflow": "Reject"}, 1)
    broker.publish("q", several("a"))
    with pytest.raises(QueueFull) as raised:
        broker.publish("q", several("bcd"))
    assert raised.value.task_ids == ("b", "c", "d")
    assert broker.info("q").ready == 1
    broker.publish("q", several("ef"))


def test_a_step_greater_than_the_bound_is_told_apart(broker: Broker) -> None:
    broker.configure("q", {"max_length": 2, "overflow": "Reject"}, 1)
    with pytest.raises(QueueFull, match=r"takes 2 tasks at most .* 3 were to be sent in one step"):
        broker.publish("q", several("abc"))


def test_delayed_messages_and_groups_count(broker: Broker) -> None:
    broker.configure("q", {"max_length": 3, "overflow": "Reject"}, 1)
    broker.publish("q", [outgoing("a", delay=100.0), outgoing("b", group="x"), outgoing("c", priority=9)])
    with pytest.raises(QueueFull):
        broker.publish("q", several("d", delay=100.0))
    with pytest.raises(QueueFull):
        broker.publish("q", several("d", group="y"))


def test_what_runs_does_not_count(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_length": 2, "overflow": "Reject"}, 1)
    broker.publish("q", several("ab"))
    take(consumers(), "q", 1)
    broker.publish("q", several("c"))
    assert broker.info("q").ready == 2


def test_what_was_accepted_comes_back_into_a_full_queue(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_length": 2, "overflow": "Reject"}, 1)
    broker.publish("q", several("ab"))
    consumer = consumers()
    held = take(consumer, "q")
    broker.publish("q", several("cd"))
    retry = end(held[0], Kind.RETRY, payload=outgoing("a", attempt=1).payload)
    consumer.cycle("q", [retry, end(held[1], Kind.GIVE_BACK)], 0)
    assert broker.info("q").ready == 4
    with pytest.raises(QueueFull):
        broker.publish("q", several("e"))


def test_a_bound_can_be_taken_away(broker: Broker) -> None:
    broker.configure("q", {"max_length": 1, "overflow": "Reject"}, 1)
    broker.publish("q", several("a"))
    broker.configure("q", {"max_length": None, "overflow": None}, 2)
    broker.publish("q", several("bc"))
    assert broker.info("q").ready == 3


def test_a_producer_learns_of_a_bound_that_is_new(broker: Broker) -> None:
    broker.publish("q", several("a"))
    broker.configure("q", {"max_length": 1, "overflow": "Reject"}, 1)
    with pytest.raises(QueueFull):
        broker.publish("q", several("b"))


def test_the_oldest_of_the_lowest_priority_is_dropped(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_length": 3, "overflow": "DropOldest"}, 1)
    broker.publish("q", [outgoing("old", priority=7), outgoing("low", priority=2), outgoing("new", priority=7)])
    assert ids(broker.publish("q", several("a", priority=7))) == ["low"]
    assert ids(broker.publish("q", several("b", priority=7))) == ["old"]
    assert ids(take(consumers(), "q")) == ["new", "a", "b"]


def test_delayed_messages_are_dropped_last(broker: Broker) -> None:
    broker.configure("q", {"max_length": 2, "overflow": "DropOldest"}, 1)
    broker.publish("q", [outgoing("later", delay=200.0), outgoing("soon", delay=100.0)])
    assert ids(broker.publish("q", several("a"))) == ["soon"]
    assert ids(broker.publish("q", several("b"))) == ["a"]
    assert (broker.info("q").ready, broker.info("q").delayed) == (1, 1)


def test_of_groups_the_one_with_most_waiting_loses_its_last(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_length": 4, "overflow": "DropOldest"}, 1)
    broker.publish("q", [*several("1234", group="big")])
    assert ids(broker.publish("q", several("s", group="small"))) == ["4"]
    assert ids(take(consumers(), "q")) in (["1", "s", "2", "3"], ["s", "1", "2", "3"])


def test_of_more_than_fit_at_once_the_last_ones_stay(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_length": 2, "overflow": "DropOldest"}, 1)
    broker.publish("q", several("a"))
    assert ids(broker.publish("q", several("bcdef"))) == ["a", "b", "c", "d"]
    assert ids(take(consumers(), "q")) == ["e", "f"]


def test_a_lowered_bound_is_reached(broker: Broker) -> None:
    broker.publish("q", several(map(str, range(600))))
    broker.configure("q", {"max_length": 10, "overflow": "DropOldest"}, 1)
    for number in range(5):
        broker.publish("q", several([f"new{number}"]))
    assert broker.info("q").ready == 10


def test_what_was_dropped_is_kept_until_its_end_is_written(broker: Broker, results: Results) -> None:
    broker.configure("q", {"max_length": 1, "overflow": "DropOldest"}, 1)
    broker.publish("q", several("a"))
    dropped = broker.publish("q", several("b"))
    assert ids(broker.dropped("q")) == ["a"]
    assert (broker.info("q").ready, broker.info("q").dead) == (1, 0)
    raw = record("FAILURE").encode()
    outcome = end(dropped[0], Kind.DEAD, record=raw, reason={"reason": "Dropped"})
    broker.settle_dropped("q", [outcome])
    assert broker.dropped("q") == []
    stored = results.get("a")
    assert stored is not None
    assert stored.state == "FAILURE"
    assert [letter.reason["reason"] for letter in broker.dead("q")] == ["Dropped"]


def test_a_drop_that_is_settled_twice_counts_once(broker: Broker) -> None:
    broker.configure("q", {"max_length": 1, "overflow": "DropOldest"}, 1)
    broker.publish("q", several("a"))
    outcomes = ends(broker.publish("q", several("b")), Kind.DEAD, reason={"reason": "Dropped"})
    broker.settle_dropped("q", outcomes)
    broker.settle_dropped("q", outcomes)
    assert broker.info("q").dead == 1
    assert broker.info("q").in_flight == 0


def test_nobody_takes_what_was_dropped(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.configure("q", {"max_length": 1, "overflow": "DropOldest"}, 1)
    broker.publish("q", several("a"))
    broker.publish("q", several("b"))
    assert ids(take(consumers(), "q")) == ["b"]
    assert liveness.owners()[0].id != "dropped"


def test_a_closed_queue_says_so_first(broker: Broker) -> None:
    broker.configure("q", {"max_length": 1, "intake": "Reject"}, 1)
    with pytest.raises(Exception, match="takes no new tasks"):
        broker.publish("q", several("ab"))


def test_a_long_list_is_sent_up_to_the_bound(broker: Broker) -> None:
    broker.configure("q", {"max_length": 2500, "overflow": "Reject"}, 1)
    with pytest.raises(QueueFull) as raised:
        broker.publish("q", several(map(str, range(3000))))
    assert raised.value.task_ids == tuple(map(str, range(broker.info("q").ready, 3000)))
