"""A Redis at its maxmemory: producers are told, while workers go on, since they alone can make room."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.conformance.making import end, ids, outgoing, owner, record, several, take
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel
from umbel.broker.base import Charge, Kind
from umbel.broker.redis import RedisBroker
from umbel.clock import ManualClock
from umbel.control.abandoned import OwnQueueJanitor
from umbel.errors import OperationalError

S = "tests.sample_app."


@pytest.fixture
def broker(own_redis: RedisServer, prefix: str) -> Iterator[RedisBroker]:
    broker = RedisBroker(own_redis.url, prefix=prefix)
    yield broker
    broker.close()


def _fill(server: RedisServer) -> None:
    """Let the memory be full from now on."""
    with server.client() as client:
        client.config_set("maxmemory", 1)


def test_a_producer_is_told(own_redis: RedisServer, broker: RedisBroker) -> None:
    broker.publish("q", several("a"))
    _fill(own_redis)
    with pytest.raises(OperationalError, match="maxmemory"):
        broker.publish("q", [*several("b"), outgoing("c", delay=1.0)])
    assert (broker.info("q").ready, broker.info("q").delayed) == (1, 0)


def test_what_is_due_can_be_fetched_and_ended(own_redis: RedisServer, broker: RedisBroker) -> None:
    broker.publish("q", [outgoing("a", delay=0.001)])
    consumer = broker.consumer(owner("q"))
    consumer.register()
    _fill(own_redis)
    (delivery,) = until(lambda: take(consumer, "q"), "it is due")
    outcome = end(delivery, record=record().encode(), ttl=60.0)
    assert consumer.cycle("q", [outcome], 1).lost_tags == []
    assert broker.info("q").in_flight == 0


def test_due_messages_are_promoted(own_redis: RedisServer, broker: RedisBroker) -> None:
    broker.publish("q", [outgoing("a", delay=0.001)])
    _fill(own_redis)
    until(lambda: broker.promote("q") is None, "it was due")
    assert broker.info("q").ready == 1


def test_an_owner_enters_beats_and_is_buried(own_redis: RedisServer, broker: RedisBroker) -> None:
    broker.publish("q", several("ab"))
    _fill(own_redis)
    dead = broker.consumer(owner("q"))
    dead.register()
    assert ids(take(dead, "q")) == ["a", "b"]
    liveness = broker.liveness()
    assert liveness.beat([dead.owner]) == []
    assert liveness.bury(dead.owner.id, charge=Charge.SUSPECT) == 2
    assert broker.info("q").ready == 2


def test_every_kind_of_outcome_is_taken(own_redis: RedisServer, broker: RedisBroker) -> None:
    broker.publish("q", several("abcd"))
    consumer = broker.consumer(owner("q"))
    consumer.register()
    a, b, c, d = take(consumer, "q")
    _fill(own_redis)
    outcomes = [
        end(a, Kind.RETRY, payload=outgoing("a").payload, delay=60.0),
        end(b, Kind.GIVE_BACK),
        end(c, Kind.DEAD, reason={}),
        end(d, Kind.REQUEUE),
    ]
    assert consumer.cycle("q", outcomes, 0).lost_tags == []
    info = broker.info("q")
    assert (info.ready, info.delayed, info.dead, info.in_flight) == (2, 1, 1, 0)


def test_a_worker_empties_a_full_redis(
    own_redis: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    app = producer(own_redis)
    results = [app.send_task(S + "add", (number, 0), countdown=0.01) for number in range(20)]
    _fill(own_redis)
    worker = start_worker(own_redis, prefix)

    def left() -> int:
        info = app.broker.info("default")
        return info.ready + info.delayed + info.in_flight

    until(lambda: left() == 0, "all were run")
    assert sorted(result.get(timeout=30) for result in results) == list(range(20))
    assert worker.stop() == 0


def test_who_looks_after_own_queues_puts_it_off(own_redis: RedisServer, broker: RedisBroker) -> None:
    """A look that raised counted as an outage: workers were not ready for a moment."""
    clock = ManualClock()
    janitor = OwnQueueJanitor(broker, lambda: 1.0, 60.0, clock)
    broker.publish("w@gone.dq2", several("a"))
    _fill(own_redis)
    for _ in range(3):
        clock.advance(60.0)
        assert janitor.look() == 0
    assert broker.info("w@gone.dq2").ready == 1
