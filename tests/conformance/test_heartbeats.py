"""Heartbeats change the score of an owner, and carry what is known of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.conformance.adapters import Adapter
from tests.conformance.making import owner
from tests.conformance.waiting import until

from umbel.broker.base import Broker, Consumer, Liveness

Consumers = Callable[..., Consumer]


def test_a_registered_owner_has_a_score_at_once(consumers: Consumers, liveness: Liveness) -> None:
    consumer = consumers()
    assert list(liveness.scores()) == [consumer.owner.id]


def test_each_beat_changes_the_scores(consumers: Consumers, liveness: Liveness) -> None:
    first, second = consumers(), consumers()
    before = liveness.scores()

    def both_changed() -> bool:
        assert liveness.beat([first.owner, second.owner]) == []
        after = liveness.scores()
        return all(after[name] > before[name] for name in before)

    until(both_changed)


def test_who_does_not_beat_keeps_its_score(consumers: Consumers, liveness: Liveness) -> None:
    first, second = consumers(), consumers()
    before = liveness.scores()
    until(lambda: liveness.beat([first.owner]) or liveness.scores()[first.owner.id] != before[first.owner.id])
    assert liveness.scores()[second.owner.id] == before[second.owner.id]


def test_no_owner_no_beat(liveness: Liveness) -> None:
    assert liveness.beat([]) == []
    assert liveness.scores() == {}


def test_a_beat_does_not_enter_an_unknown_owner(liveness: Liveness) -> None:
    stranger = owner("q")
    assert liveness.beat([stranger]) == [stranger.id]
    assert liveness.scores() == {}
    assert liveness.owners() == []


def test_an_emptied_broker_is_noticed(adapter: Adapter, consumers: Consumers, liveness: Liveness) -> None:
    consumer = consumers()
    adapter.empty()
    assert liveness.beat([consumer.owner]) == [consumer.owner.id]


def test_the_registry_tells_who_an_owner_is(broker: Broker, liveness: Liveness) -> None:
    info = owner("b", "a", worker="w1", hostname="w1@host", pid=4711, machine="m1", pool="mail", pod_uid="uid-1")
    consumer = broker.consumer(info)
    before = time.time()
    consumer.register()
    (found,) = liveness.owners()
    assert before - 0.01 <= found.last_beat <= time.time() + 0.01
    assert found == replace(info, last_beat=found.last_beat)
    consumer.close()


def test_a_beat_carries_the_figures(consumers: Consumers, liveness: Liveness) -> None:
    consumer = consumers()
    assert liveness.owners()[0].busy_since == 0.0
    consumer.owner.state = "draining"
    consumer.owner.busy_since = since = time.time() - 30.0
    liveness.beat([consumer.owner])
    (found,) = liveness.owners()
    assert found.state == "draining"
    assert found.busy_since == pytest.approx(since, abs=0.01)
    consumer.owner.state, consumer.owner.busy_since = "running", 0.0
    liveness.beat([consumer.owner])
    (found,) = liveness.owners()
    assert (found.state, found.busy_since) == ("running", 0.0)


def test_what_the_registry_told_is_a_copy(consumers: Consumers, liveness: Liveness) -> None:
    consumer = consumers()
    (found,) = liveness.owners()
    found.queues.append("other")
    found.state = "draining"
    (again,) = liveness.owners()
    assert (again.queues, again.state) == (["q"], "running")
    assert consumer.owner.queues == ["q"]


def test_the_generation_stands_still_while_the_server_does(broker: Broker, liveness: Liveness) -> None:
    other = broker.liveness()
    assert liveness.generation() == liveness.generation() == other.generation()
    other.close()


def test_the_broker_answers_a_ping(broker: Broker) -> None:
    answer = broker.ping()
    assert answer["version"]
    assert answer["maxmemory_policy"] == "noeviction"
    assert answer["run_id"]
