"""Groups take turns: how much one has waiting does not delay the others."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random

from tests.conformance.adapters import Adapter, RedisAdapter
from tests.conformance.making import SILENCE, end, ends, ids, outgoing, rung, several, take
from tests.conformance.waiting import until

from umbel.broker.base import Bell, Broker, Consumer, Kind, Liveness, Outgoing

Consumers = Callable[..., Consumer]


def of(group: str | None, count: int, **options: object) -> list[Outgoing]:
    """Messages ``a0``, ``a1``, … of group ``a``; ``-0``, … without one."""
    return several([f"{group or '-'}{n}" for n in range(count)], group=group, **options)


def drain(consumer: Consumer, want: int = 1) -> list[str]:
    """Fetch so many at a time, and end each, until nothing is left."""
    got: list[str] = []
    held = take(consumer, "q", want)
    while held:
        got += ids(held)
        held = consumer.cycle("q", ends(held), want).deliveries
    return got


def test_a_late_group_does_not_wait_for_an_early_one(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", of("a", 50))
    consumer = consumers()
    held = take(consumer, "q", 10)
    broker.publish("q", of("b", 5))
    got = ids(consumer.cycle("q", ends(held), 11).deliveries)
    assert [task for task in got if task[0] == "b"] == ["b0", "b1", "b2", "b3", "b4"]


def test_within_a_group_the_order_is_kept(broker: Broker, consumers: Consumers) -> None:
    for a, b in itertools.zip_longest(of("a", 30), of("b", 10)):
        broker.publish("q", [message for message in (a, b) if message])
    got = drain(consumers(), 3)
    for group, count in (("a", 30), ("b", 10)):
        assert [task for task in got if task[0] == group] == [f"{group}{n}" for n in range(count)]


def test_groups_share_evenly_however_much_they_have(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [*of("a", 300), *of("b", 60), *of("c", 60)])
    got = drain(consumers(), 7)[:150]
    counts = [sum(task[0] == group for task in got) for group in "abc"]
    assert max(counts) - min(counts) <= 2, counts


def test_a_group_of_weight_three_gets_three_times_as_much(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"group_weights": {"a": 3}}, 1)
    broker.publish("q", [*of("a", 90), *of("b", 90)])
    got = drain(consumers(), 4)[:80]
    assert 58 <= sum(task[0] == "a" for task in got) <= 62


def test_what_has_no_group_takes_its_turn_as_one(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [*of(None, 100), *of("a", 50), *of("b", 50)])
    got = drain(consumers(), 5)
    assert len(set(got)) == 200
    counts = [sum(task[0] == group for task in got[:90]) for group in "ab-"]
    assert max(counts) - min(counts) <= 2, counts
    assert [task for task in got if task[0] == "-"] == [f"-{n}" for n in range(100)]


def test_a_few_without_group_do_not_wait_for_a_big_group(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", of("a", 100))
    consumer = consumers()
    take(consumer, "q", 20)
    broker.publish("q", of(None, 3))
    got = ids(take(consumer, "q", 8))
    assert [task for task in got if task[0] == "-"] == ["-0", "-1", "-2"]


def test_priorities_go_before_fairness(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [*of("a", 3, priority=2), *of("b", 3, priority=8), *of(None, 2, priority=5)])
    assert drain(consumers(), 1) == ["b0", "b1", "b2", "-0", "-1", "a0", "a1", "a2"]


def test_within_one_priority_groups_take_turns(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [*of("a", 20, priority=8), *of("b", 20, priority=8), *several("xy", group="b", priority=1)])
    got = drain(consumers(), 3)
    assert 9 <= sum(task[0] == "a" for task in got[:20]) <= 11
    assert got[-2:] == ["x", "y"]


def test_what_comes_back_goes_first(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [*of("a", 4), *of("b", 4)])
    consumer = consumers()
    held = take(consumer, "q", 4)
    names = ids(held)
    got = ids(consumer.cycle("q", ends(held, Kind.GIVE_BACK), 4).deliveries)
    assert got == names


def test_the_dead_give_their_groups_back(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", of("a", 6))
    dead = consumers()
    assert ids(take(dead, "q", 3)) == ["a0", "a1", "a2"]
    liveness.bury(dead.owner.id)
    assert drain(consumers(), 2) == [f"a{n}" for n in range(6)]


def test_delayed_messages_join_their_group_when_due(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", of("a", 30, delay=0.001))
    broker.publish("q", of("b", 3))
    consumer = consumers()
    until(lambda: consumer.cycle("q", [], 0).next_due is None)
    got = drain(consumer, 1)
    assert sum(task[0] == "b" for task in got[:7]) == 3


def test_a_retry_waits_behind_its_group(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", of("a", 3))
    consumer = consumers()
    (first,) = take(consumer, "q", 1)
    consumer.cycle("q", [end(first, Kind.RETRY, payload=outgoing("again", group="a").payload)], 0)
    assert drain(consumer) == ["a1", "a2", "again"]


def test_a_suspect_of_a_group_comes_alone(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [outgoing("a0", group="a"), outgoing("a1", group="a", suspect=1), outgoing("a2", group="a")])
    consumer = consumers()
    assert [ids(take(consumer, "q", 5)) for _ in range(3)] == [["a0"], ["a1"], ["a2"]]


def test_groups_count_as_ready_and_are_purged(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [*of("a", 3), *of(None, 2)])
    assert broker.info("q").ready == 5
    assert broker.purge("q") == 5
    assert take(consumers(), "q") == []
    broker.publish("q", [*of("a", 1), *of(None, 1)])
    assert sorted(drain(consumers())) == ["-0", "a0"]


def test_limits_hold_for_groups(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_concurrency": 2}, 1)
    broker.publish("q", [*of("a", 3), *of("b", 3)])
    consumer = consumers()
    assert len(take(consumer, "q", 5)) == 2
    assert take(consumer, "q", 5) == []


def test_a_group_rings_and_rings_on(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.publish("q", of("a", 2))
    assert rung(bell, ["q"]) == "q"
    consumer = consumers()
    assert consumer.cycle("q", [], 1).more
    assert rung(bell, ["q"]) == "q"
    assert not consumer.cycle("q", [], 1).more
    assert rung(bell, ["q"], SILENCE) is None


def test_nothing_is_kept_of_groups_that_have_gone(broker: Broker, consumers: Consumers, adapter: Adapter) -> None:
    consumer = consumers()
    for number in range(200):
        broker.publish("q", [outgoing("x", group=f"group-{number}"), outgoing("y", group="stays")])
        held = take(consumer, "q", 1)
        consumer.cycle("q", ends(held), 0)
    if isinstance(adapter, RedisAdapter):
        assert adapter.size_of("q", "fair:t") <= broker.info("q").ready + 2
    drain(consumer, 50)
    if isinstance(adapter, RedisAdapter):
        assert adapter.size_of("q", "fair:t") == 0
        assert "fair" not in adapter.fields_of("q")


def test_a_random_crowd_is_served_fairly(broker: Broker, consumers: Consumers) -> None:
    """Whoever has something waiting all the time gets as much as anybody else who has, whatever comes and goes besides."""
    draw = Random(7)
    names = itertools.count()
    consumer = consumers()
    served: dict[str, set[str]] = {"a": set(), "b": set()}
    broker.publish("q", [*of("a", 400), *of("b", 400)])
    for _ in range(60):
        crowd = [outgoing(f"z{next(names)}", group=f"g{draw.randint(0, 5)}") for _ in range(3)]
        broker.publish("q", [*crowd, *[outgoing(f"z{next(names)}") for _ in range(2)]])
        deliveries = take(consumer, "q", 8)
        outcomes = []
        for delivery, task in zip(deliveries, ids(deliveries), strict=True):
            served.get(task[0], set()).add(task)
            outcomes.append(end(delivery, draw.choice((Kind.ACK, Kind.ACK, Kind.REQUEUE))))
        consumer.cycle("q", outcomes, 0)
    assert abs(len(served["a"]) - len(served["b"])) <= 4
    assert len(served["a"]) > 50


def test_a_dead_letter_that_is_sent_again_joins_its_group(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", of("b", 1))
    consumer = consumers()
    (bad,) = take(consumer, "q")
    consumer.cycle("q", [end(bad, Kind.DEAD, reason={"reason": "Rejected"})], 0)
    broker.publish("q", of("a", 30))
    assert broker.retry_dead("q", broker.dead("q")) == 1
    assert "b0" in ids(take(consumer, "q", 3))
