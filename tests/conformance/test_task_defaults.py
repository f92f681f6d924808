"""The options that a queue gives to tasks come to workers with what they fetch."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance.making import take

from umbel.broker.base import Broker, Consumer
from umbel.taskdefaults import TaskDefaults

Consumers = Callable[..., Consumer]


def test_a_queue_without_any_says_nothing(broker: Broker, consumers: Consumers) -> None:
    broker.configure("q", {"max_deliveries": 2}, 1)
    assert consumers().cycle("q", [], 1).task_defaults is None


def test_they_come_with_each_batch_until_they_are_taken_away(broker: Broker, consumers: Consumers) -> None:
    consumer = consumers()
    broker.configure("q", {"task_defaults": {"time_limit": 30, "max_retries": 0}}, 1)
    raw = consumer.cycle("q", [], 0).task_defaults
    assert raw is not None
    assert TaskDefaults.decode(raw) == TaskDefaults(time_limit=30, max_retries=0)
    assert broker.settings("q")["task_defaults"] == {"time_limit": 30, "max_retries": 0}
    broker.configure("q", {"task_defaults": None}, 2)
    assert consumer.cycle("q", [], 0).task_defaults is None
    assert "task_defaults" not in broker.settings("q")


def test_they_come_beside_a_rate_limit(broker: Broker, consumers: Consumers) -> None:
    from tests.conformance.making import several

    from umbel.rates import RateLimit

    consumer = consumers()
    broker.configure("q", {"rate_limit": RateLimit(1, 100.0), "task_defaults": {"result_ttl": 60}}, 1)
    broker.publish("q", several("ab"))
    assert len(take(consumer, "q")) == 1
    batch = consumer.cycle("q", [], 1)
    assert batch.limited is not None
    assert batch.limited > 50
    assert batch.task_defaults is not None
    assert TaskDefaults.decode(batch.task_defaults).result_ttl == 60


def test_what_a_later_release_adds_is_left_out() -> None:
    assert TaskDefaults.decode(b'{"max_retries":4,"colour":"red"}') == TaskDefaults(max_retries=4)
