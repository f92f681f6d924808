"""10,000 in one process wait for results at the same time: coroutines, threads, and functions that are called at the end."""

from __future__ import annotations

from pathlib import Path

from benchmarks.waiting import Waits, page, take
from tests.redis_server import RedisServer


def test_they_share_one_connection_to_redis(own_redis: RedisServer, prefix: str) -> None:
    waits = take(own_redis.url, prefix, coroutines=900, threads=100, callbacks=9000)
    assert waits.coroutines + waits.threads + waits.callbacks == 10_000
    assert waits.blocked == 1
    # Beside it those on which several threads began to wait at the same moment: they are idle now.
    assert waits.connections is not None
    assert waits.connections < 250


def test_a_thread_looks_for_all_of_them_in_a_database(tmp_path: Path, prefix: str) -> None:
    waits = take(f"db+sqlite:///{tmp_path}/results.db", prefix, coroutines=300, threads=50, callbacks=650)
    assert waits.connections is None


def test_the_page_says_what_was_counted() -> None:
    assert page("Redis", Waits(4700, 300, 5000, 1.23, 45.6, 8, 1, 7.89)) == (
        "Redis: 10000 wait (4700 coroutines, 300 threads, 5000 in a set) after 1.2 s, with 46 MiB more, 1 of 8 connections waits; "
        "all had come 7.9 s after another process began to write them"
    )
