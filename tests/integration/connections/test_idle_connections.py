"""Connections that a burst of threads has left behind are closed, one whenever another is given back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from tests.redis_server import RedisServer
from tests.workers import until

from umbel.redis import pool
from umbel.redis.connection import RedisConnection
from umbel.redis.endpoint import Endpoint
from umbel.redis.pool import Pool


def test_what_was_idle_for_long_is_closed(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    burst, made = Barrier(8), Pool(Endpoint(own_redis.url))

    def together(connection: RedisConnection) -> None:
        burst.wait(30.0)
        connection.call(b"PING")

    with ThreadPoolExecutor(8) as threads, own_redis.client() as client:
        list(threads.map(lambda _: made.run(together), range(8)))
        until(lambda: len(client.client_list()) == 8 + 1, "there is one for each thread")
        for _ in range(20):
            made.run(lambda connection: connection.call(b"PING"))
        assert len(client.client_list()) == 8 + 1  # they may be needed again in a moment
        monkeypatch.setattr(pool, "KEEP", 0.0)
        for _ in range(7):
            made.run(lambda connection: connection.call(b"PING"))
        until(lambda: len(client.client_list()) == 1 + 1, "one is left, that is in use")
    made.close()


def test_what_was_in_use_when_the_pool_was_closed_is_closed_when_it_is_given_back(own_redis: RedisServer) -> None:
    made = Pool(Endpoint(own_redis.url))
    used, closed = Barrier(2), Barrier(2)

    def slowly(connection: RedisConnection) -> None:
        used.wait(30.0)
        closed.wait(30.0)
        connection.call(b"PING")

    with ThreadPoolExecutor(1) as threads, own_redis.client() as client:
        done = threads.submit(made.run, slowly)
        used.wait(30.0)
        made.close()
        closed.wait(30.0)
        done.result(30.0)
        until(lambda: len(client.client_list()) == 1, "nothing is left open")
        assert made.run(lambda connection: connection.call(b"PING")) == b"PONG", "who calls later connects anew"
        made.close()
        until(lambda: len(client.client_list()) == 1, "nothing is left open")
