"""A message whose last process died holding others too is fetched alone, so that the innocent do not die with it."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance.making import SILENCE, end, ends, ids, outgoing, read, rung, several, take

from umbel.broker.base import Bell, Broker, Charge, Consumer, Kind, Liveness

Consumers = Callable[..., Consumer]


def _batches(consumer: Consumer, want: int = 10) -> list[list[str]]:
    """Fetch and acknowledge until nothing is left; return what came together."""
    batches = []
    outcomes = []
    while deliveries := consumer.cycle("q", outcomes, want).deliveries:
        batches.append(ids(deliveries))
        outcomes = ends(deliveries)
    return batches


def test_a_suspect_at_the_head_comes_alone(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [outgoing("s", suspect=1), *several("ab")])
    assert _batches(consumers()) == [["s"], ["a", "b"]]


def test_a_suspect_behind_others_ends_the_batch(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [*several("ab"), outgoing("s", suspect=256), *several("cd")])
    assert _batches(consumers()) == [["a", "b"], ["s"], ["c", "d"]]


def test_suspects_come_one_by_one(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("xyz", suspect=1))
    assert _batches(consumers()) == [["x"], ["y"], ["z"]]


def test_a_suspect_keeps_its_place_by_priority(broker: Broker, consumers: Consumers) -> None:
    broker.publish(
        "q", [outgoing("low", priority=1), outgoing("s", priority=5, suspect=1), outgoing("high", priority=9)]
    )
    assert _batches(consumers()) == [["high"], ["s"], ["low"]]


def test_a_suspect_alone_of_the_highest_priority_brings_nothing_lower(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [outgoing("low", priority=1), outgoing("s", priority=9, suspect=1)])
    assert _batches(consumers()) == [["s"], ["low"]]


def test_who_wants_one_gets_one(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [*several("a"), outgoing("s", suspect=1), *several("b")])
    assert _batches(consumers(), want=1) == [["a"], ["s"], ["b"]]


def test_what_waits_behind_a_suspect_rings_for_the_others(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.publish("q", [outgoing("s", suspect=1), *several("a")])
    assert rung(bell, ["q"]) == "q"
    assert ids(take(consumers(), "q")) == ["s"]
    assert rung(bell, ["q"]) == "q"
    assert ids(take(consumers(), "q")) == ["a"]
    assert rung(bell, ["q"], SILENCE) is None


def test_burying_with_suspicion_makes_suspects(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", several("abc"))
    dead = consumers()
    take(dead, "q", 2)
    liveness.bury(dead.owner.id, charge=Charge.SUSPECT)
    assert _batches(consumers()) == [["a"], ["b"], ["c"]]


def test_a_suspect_stays_one_when_it_is_given_back(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [outgoing("s", suspect=2), *several("a")])
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    consumer.cycle("q", [end(delivery, Kind.GIVE_BACK)], 0)
    (again,) = take(consumer, "q")
    assert (read(again).headers["id"], read(again).suspect) == ("s", 2)
