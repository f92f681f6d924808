"""What is revoked is remembered by the broker, by its own clock, and bounded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.adapters import Adapter, RedisAdapter
from tests.conformance.waiting import until

from umbel.broker import base
from umbel.broker.base import REVOKED_FOR, REVOKED_MOST, Broker, Consumer
from umbel.broker.redis import revoking
from umbel.memory import store

Consumers = Callable[..., Consumer]


def test_a_consumer_learns_what_is_revoked(broker: Broker, consumers: Consumers) -> None:
    broker.revoke(["a", "b"])
    assert list(consumers().revocations()) == ["a", "b"]


def test_only_the_new_ones_are_read(broker: Broker) -> None:
    broker.revoke(["a"])
    (first,) = broker.revocations().values()
    until(lambda: broker.time() > first + 0.002)
    broker.revoke(["b"])
    (second,) = broker.revocations(first + 0.001).items()
    assert second[0] == "b"
    assert second[1] > first
    assert list(broker.revocations(first)) == ["a", "b"]


def test_the_time_is_the_brokers(broker: Broker) -> None:
    before = broker.time()
    broker.revoke(["a"])
    (when,) = broker.revocations().values()
    assert before - 0.001 <= when <= broker.time()


def test_an_id_revoked_again_is_new_again(broker: Broker) -> None:
    broker.revoke(["a"])
    (first,) = broker.revocations().values()
    until(lambda: broker.time() > first + 0.002)
    broker.revoke(["a"])
    assert list(broker.revocations(first + 0.001)) == ["a"]


def test_ten_thousand_at_once(broker: Broker) -> None:
    broker.revoke([f"task-{number}" for number in range(10_000)])
    assert len(broker.revoked()) == 10_000


def test_of_too_many_the_oldest_are_forgotten(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (revoking, store, base):
        monkeypatch.setattr(module, "REVOKED_MOST", 3)
    broker.revoke(["a", "b"])
    (first, _) = broker.revocations().values()
    until(lambda: broker.time() > first + 0.002)
    broker.revoke(["c", "d"])
    assert len(broker.revoked()) == 3
    assert {"c", "d"} < broker.revoked()


def test_more_than_can_be_remembered_are_refused(broker: Broker) -> None:
    with pytest.raises(ValueError, match="purge the queue"):
        broker.revoke(["a"] * (REVOKED_MOST + 1))
    assert broker.revoked() == set()


def test_nothing_to_revoke_is_no_error(broker: Broker) -> None:
    assert broker.revoke([]) == 0


def test_a_producers_clock_has_no_say(adapter: Adapter, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(adapter, RedisAdapter):
        pytest.skip("in memory both have one clock")
    monkeypatch.setattr("time.time", lambda: 0.0)
    broker.revoke(["a"])
    assert broker.revoked() == {"a"}
    (when,) = broker.revocations().values()
    assert when > REVOKED_FOR
