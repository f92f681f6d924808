"""The bell wakes who waits: once for a burst, again while more can be taken, and never in vain for long."""

from __future__ import annotations

import select
import time
from collections.abc import Callable

from tests.conformance.making import SILENCE, end, ends, ids, outgoing, rung, several, take

from umbel.broker.base import Bell, Broker, Consumer, Kind, Liveness

Consumers = Callable[..., Consumer]


def test_a_bell_stays_silent_without_work(bell: Bell) -> None:
    began = time.monotonic()
    assert rung(bell, ["q"], 0.2) is None
    assert time.monotonic() - began >= 0.19


def test_publishing_wakes_who_waits(broker: Broker, bell: Bell) -> None:
    bell.ask(["q"], 20.0)
    assert select.select([bell.fileno()], [], [], 0.05)[0] == []
    broker.publish("q", several("a"))
    assert select.select([bell.fileno()], [], [], 20.0)[0] == [bell.fileno()]
    assert bell.answer() == "q"


def test_a_bell_that_rang_before_is_heard(broker: Broker, bell: Bell) -> None:
    broker.publish("q", several("a"))
    assert rung(bell, ["q"]) == "q"


def test_a_bell_names_the_queue(broker: Broker, bell: Bell) -> None:
    broker.publish("b", several("a"))
    assert rung(bell, ["a", "b"]) == "b"
    broker.publish("a", several("b"))
    assert rung(bell, ["a", "b"]) == "a"


def test_a_bell_hears_only_the_queues_it_asked_for(broker: Broker, bell: Bell) -> None:
    broker.publish("a", several("a"))
    assert rung(bell, ["b"], SILENCE) is None


def test_a_burst_rings_once(broker: Broker, bell: Bell) -> None:
    broker.publish("q", several(map(str, range(100))))
    for number in range(100):
        broker.publish("q", [outgoing(f"more-{number}")])
    assert rung(bell, ["q"]) == "q"
    assert rung(bell, ["q"], SILENCE) is None


def test_the_bell_rings_on_while_more_can_be_taken(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    for _ in range(3):
        assert rung(bell, ["q"]) == "q"
        assert len(take(consumer, "q", 1)) == 1
    assert rung(bell, ["q"], SILENCE) is None


def test_one_ring_wakes_all_in_a_cascade(broker: Broker, consumers: Consumers) -> None:
    bells = [broker.bell() for _ in range(3)]
    for bell in bells:
        bell.ask(["q"], 20.0)
    broker.publish("q", several("abc"))
    asleep = {bell.fileno(): (bell, consumers()) for bell in bells}
    for left in (2, 1, 0):
        readable, _, _ = select.select(list(asleep), [], [], 20.0)
        assert len(readable) == 1
        bell, consumer = asleep.pop(readable[0])
        assert bell.answer() == "q"
        assert len(take(consumer, "q", 1)) == 1
        assert len(asleep) == left
    for bell in bells:
        bell.close()


def test_a_busy_child_passes_the_bell_on(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.publish("q", several("a"))
    assert rung(bell, ["q"]) == "q"
    assert take(consumers(), "q", 0) == []
    assert rung(bell, ["q"]) == "q"


def test_a_held_queue_does_not_spin(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.configure("q", {"dispatch": "Held"}, 1)
    broker.publish("q", several("abc"))
    consumer = consumers()
    # Publishing may have rung, once; whoever answers finds nothing, and it stays silent.
    rung(bell, ["q"], SILENCE)
    assert take(consumer, "q") == []
    assert take(consumer, "q", 0) == []
    assert rung(bell, ["q"], SILENCE) is None


def test_a_resumed_queue_rings(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.configure("q", {"dispatch": "Held"}, 1)
    broker.publish("q", several("a"))
    rung(bell, ["q"], SILENCE)
    assert take(consumers(), "q") == []
    broker.configure("q", {"dispatch": "Enabled"}, 2)
    assert rung(bell, ["q"]) == "q"


def test_a_full_queue_does_not_spin(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.configure("q", {"max_concurrency": 1}, 1)
    broker.publish("q", several("ab"))
    consumer = consumers()
    rung(bell, ["q"])
    take(consumer, "q", 5)
    assert take(consumer, "q", 5) == []
    assert take(consumer, "q", 0) == []
    assert rung(bell, ["q"], SILENCE) is None


def test_an_acknowledgement_that_frees_the_limit_rings(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.configure("q", {"max_concurrency": 1}, 1)
    broker.publish("q", several("ab"))
    consumer = consumers()
    deliveries = take(consumer, "q", 5)
    rung(bell, ["q"], SILENCE)
    consumer.cycle("q", ends(deliveries), 0)
    assert rung(bell, ["q"]) == "q"


def test_an_acknowledgement_that_leaves_nothing_does_not_ring(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.publish("q", several("a"))
    rung(bell, ["q"])
    consumer = consumers()
    consumer.cycle("q", ends(take(consumer, "q")), 1)
    assert rung(bell, ["q"], SILENCE) is None


def test_a_raised_limit_rings(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.configure("q", {"max_concurrency": 1}, 1)
    broker.publish("q", several("ab"))
    take(consumers(), "q")
    rung(bell, ["q"], SILENCE)
    broker.configure("q", {"max_concurrency": 2}, 2)
    assert rung(bell, ["q"]) == "q"


def test_what_is_given_back_rings_for_the_others(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    for kind in (Kind.GIVE_BACK, Kind.REQUEUE, Kind.RETRY):
        broker.publish("q", several("a"))
        assert rung(bell, ["q"]) == "q"
        consumer = consumers()
        (delivery,) = take(consumer, "q")
        consumer.cycle("q", [end(delivery, kind, payload=delivery.payload)], 0)
        assert rung(bell, ["q"]) == "q"
        consumer.cycle("q", ends(take(consumer, "q")), 0)


def test_what_a_dead_owner_held_rings(broker: Broker, consumers: Consumers, bell: Bell, liveness: Liveness) -> None:
    broker.publish("q", several("a"))
    rung(bell, ["q"])
    consumer = consumers()
    take(consumer, "q")
    liveness.bury(consumer.owner.id)
    assert rung(bell, ["q"]) == "q"


def test_what_a_leaving_owner_gives_back_rings(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.publish("q", several("a"))
    rung(bell, ["q"])
    consumer = consumers()
    take(consumer, "q")
    consumer.leave()
    assert rung(bell, ["q"]) == "q"


def test_a_closed_bell_takes_no_ring_with_it(broker: Broker) -> None:
    sleeper = broker.bell()
    sleeper.ask(["q"], 10.0)
    sleeper.close()
    other = broker.bell()
    # A server notices a closed connection a moment later: ring until the ring gets through, within a second.
    deadline = time.monotonic() + 1.0
    broker.publish("q", several("a"))
    while rung(other, ["q"], SILENCE) is None:
        assert time.monotonic() < deadline
        broker.publish("q", several("a"))
    other.close()


def test_a_bell_asks_again_and_again(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    consumer = consumers()
    for number in range(20):
        bell.ask(["q"], 20.0)
        broker.publish("q", [outgoing(str(number))])
        assert bell.answer() == "q"
        assert ids(take(consumer, "q")) == [str(number)]


def test_a_retry_that_becomes_the_earliest_rings(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    """Who puts it back may be busy for long afterwards; the others learn from it when to look."""
    broker.publish("q", [*several("ab"), outgoing("later", delay=60.0)])
    consumer = consumers()
    first, second = take(consumer, "q")
    while rung(bell, ["q"], SILENCE) is not None:
        pass
    consumer.cycle("q", [end(first, Kind.RETRY, payload=outgoing("a").payload, delay=120.0)], 0)
    assert rung(bell, ["q"], SILENCE) is None
    consumer.cycle("q", [end(second, Kind.RETRY, payload=outgoing("b").payload, delay=30.0)], 0)
    assert rung(bell, ["q"]) == "q"
