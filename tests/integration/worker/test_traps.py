"""What others fell into, looked for from outside: by what Redis counts, and by what a client sees."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel
from umbel.broker.base import REVOKED_FOR
from umbel.errors import PublishUncertain
from umbel.redis import keys
from umbel.worker.prefetch import MOST

S = "tests.sample_app."
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


def _commands(server: RedisServer) -> dict[str, int]:
    """Return how often each command was called, those inside of scripts too."""
    with server.client() as client:
        return {
            name.removeprefix("cmdstat_"): figures["calls"] for name, figures in client.info("commandstats").items()
        }


def _since(server: RedisServer, before: dict[str, int], name: str) -> int:
    return _commands(server).get(name, 0) - before.get(name, 0)


def test_an_idle_worker_asks_little_and_holds_few_connections(
    own_redis: RedisServer, prefix: str, start_worker: Start
) -> None:
    """No herd that polls, no connection that blocks for each place: each child waits for one bell on one connection."""
    start_worker(own_redis, prefix, concurrency=4).wait_ready()
    with own_redis.client() as client:
        until(lambda: client.zcard(keys.beats(prefix)) == 4, "all children are there")
        until(lambda: client.info("clients")["blocked_clients"] == 4, "all wait for a bell")
        connections = len(client.client_list()) - 1
        before, began = client.info("stats")["total_commands_processed"], time.monotonic()
        time.sleep(4.0)  # the measure: how much is asked in this time
        asked = client.info("stats")["total_commands_processed"] - before
        took = time.monotonic() - began
    assert connections <= 2 * 4 + 4
    # Four children that look every two seconds, one supervisor that beats as often, and what their scripts call: about 110.
    assert asked <= 50 * took


def test_no_heartbeat_no_lock_and_no_look_for_each_task(
    own_redis: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(own_redis)
    start_worker(own_redis, prefix).wait_ready()
    app.send_task(S + "add", (1, 1)).get(timeout=10)
    before = _commands(own_redis)
    with app.batch():
        results = [app.send_task(S + "silent", (number,), ignore_result=True) for number in range(4000)]

    def done() -> bool:
        info = app.broker.info("default")
        return info.ready + info.in_flight == 0

    until(done, "all are done")
    assert len(results) == 4000
    assert _since(own_redis, before, "evalsha") < 4000
    for name in ("setnx", "exists", "sismember", "zscore", "hgetall"):
        assert _since(own_redis, before, name) < 1000, name


def test_sending_takes_one_connection_and_one_call_each(own_redis: RedisServer, producer: Produce) -> None:
    app = producer(own_redis)
    app.send_task(S + "add", (1, 1))
    with own_redis.client() as client:
        before, connected = _commands(own_redis), client.info("stats")["total_connections_received"]
        for number in range(300):
            app.send_task(S + "add", (number, 1))
        assert client.info("stats")["total_connections_received"] - connected <= 2  # those of this look
    assert _since(own_redis, before, "evalsha") == 300


def test_after_a_restart_of_redis_every_child_works_again(
    own_redis: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    """Connected, and deaf: so Celery's workers stood there after a reconnect. Each child has to run something."""
    worker = start_worker(own_redis, prefix, concurrency=3).wait_ready()
    app = producer(own_redis)
    liveness = app.broker.liveness()
    until(lambda: len(liveness.owners()) == 3, "all are there")
    children = {owner.pid for owner in liveness.owners()}
    liveness.close()
    for _ in range(3):
        own_redis.kill()
        own_redis.start()
        seen: set[Any] = set()

        def all_work(seen: set[Any] = seen) -> bool:
            try:
                results = [app.send_task(S + "who") for _ in range(6)]
            except PublishUncertain:  # on a connection that was in use a moment ago
                return False
            seen.update(result.get(timeout=30)["pid"] for result in results)
            return seen == children

        until(all_work, "each child has run something", 40)
    assert not worker.events("child.died")


def test_an_idle_worker_begins_at_once(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    """Others sleep for a fixed time where nothing is to do, or where all is full: a quarter of a second, or a whole one."""
    start_worker(redis_server, prefix).wait_ready()
    app = producer(redis_server)
    app.send_task(S + "add", (1, 1)).get(timeout=30)

    def at_once() -> bool:
        """Each of several in a row: who sleeps does so for half of the time on average, a busy machine is slow now and then."""
        taken = []
        for _ in range(8):
            began = time.monotonic()
            app.send_task(S + "add", (1, 1)).get(timeout=30)
            taken.append(time.monotonic() - began)
        return max(taken) < 0.1

    until(at_once, "it begins at once, eight times in a row")


@pytest.mark.parametrize("concurrency", [2])
def test_an_owner_holds_no_more_than_a_batch(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, concurrency: int
) -> None:
    app = producer(redis_server)
    with app.batch():
        results = [app.send_task(S + "add", (number, 0)) for number in range(6000)]
    start_worker(redis_server, prefix, concurrency=concurrency)
    most = 0
    with redis_server.client() as client:
        while app.broker.info("default").ready:
            for owner in client.zrange(keys.beats(prefix), 0, -1):
                most = max(most, client.hlen(keys.owned(prefix, "default", owner.decode())))
    assert results[-1].get(timeout=30) == 5999
    assert (
        2 <= most <= 2 * MOST + 1
    )  # one batch in hand, the next one in the same call that reports it; and the mark of life


def test_revocations_are_forgotten_in_time(redis_server: RedisServer, prefix: str, producer: Produce) -> None:
    app = producer(redis_server)
    name = keys.revoked(prefix)
    with redis_server.client() as client:
        client.zadd(name, {f"old-{number}": 1 for number in range(1000)})
        app.control.revoke("new")
        assert client.zrange(name, 0, -1) == [b"new"]
        assert 0 < client.ttl(name) <= REVOKED_FOR
