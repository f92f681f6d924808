"""Tasks with limits, run by real workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.redis_server import RedisServer
from tests.workers import Worker, heard, until

from umbel import Umbel

StartWorker = Callable[..., Worker]
MakeProducer = Callable[..., Umbel]
FOR_CUSTOMER = "tests.sample_app.for_customer"


def most_at_once(ledger: Path, name: str | None = None) -> int:
    """Return how many runs of one name overlapped, of all names together if None."""
    running = most = 0
    for line in ledger.read_text().splitlines() if ledger.exists() else []:
        word, who, *_ = line.split()
        if word in ("begin", "end") and name in (None, who):
            running += 1 if word == "begin" else -1
            most = max(most, running)
    return most


def test_one_at_a_time_for_each_customer(
    redis_server: RedisServer, prefix: str, start_worker: StartWorker, producer: MakeProducer, tmp_path: Path
) -> None:
    app = producer(redis_server)
    customers = ("ann", "bob", "cid")
    held = [app.send_task("tests.sample_app.held_for", (name, n, str(tmp_path))) for n, name in enumerate(customers)]
    sent = [app.send_task(FOR_CUSTOMER, (name, number, 0.01)) for number in range(10) for name in customers]
    first = start_worker(redis_server, prefix, concurrency=3)
    start_worker(redis_server, prefix, concurrency=3)
    until(lambda: len(list(tmp_path.glob("running-*"))) == 3, "tasks of three customers run at once")
    (tmp_path / "go").touch()
    assert [result.get(timeout=30) for result in held] == [0, 1, 2]
    assert [result.get(timeout=30) for result in sent] == [number for number in range(10) for _ in customers]
    assert [most_at_once(first.ledger, name) for name in customers] == [1, 1, 1]
    info = app.broker.info("default")
    assert (info.parked, info.in_flight) == (0, 0)


def test_a_rate_holds_over_two_workers(
    redis_server: RedisServer, prefix: str, start_worker: StartWorker, producer: MakeProducer
) -> None:
    app = producer(redis_server)
    start_worker(redis_server, prefix, concurrency=2).wait_ready()
    start_worker(redis_server, prefix, concurrency=2).wait_ready()
    began = time.time()
    sent = [app.send_task("tests.sample_app.paced", (number,)) for number in range(20)]
    starts = [result.get(timeout=30) for result in sent]
    # 20 a second: the last one starts 0.95 s after the first may, less the tolerance of 0.1 s.
    assert max(starts) - began > 0.8


def test_the_place_of_a_task_that_runs_at_most_once_is_held_until_it_ends(
    redis_server: RedisServer, prefix: str, start_worker: StartWorker, producer: MakeProducer, tmp_path: Path
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix, concurrency=2).wait_ready()
    sent = [app.send_task("tests.sample_app.once_at_a_time", (str(tmp_path),)) for _ in range(3)]
    until(lambda: app.broker.info("default").parked == 2, "two wait for the place")
    (tmp_path / "go").touch()
    for result in sent:
        result.get(timeout=20)
    assert most_at_once(worker.ledger) == 1


def test_a_revoked_task_that_waits_for_a_place_wakes_the_next_one(
    redis_server: RedisServer, prefix: str, start_worker: StartWorker, producer: MakeProducer, tmp_path: Path
) -> None:
    app = producer(redis_server)
    start_worker(redis_server, prefix, concurrency=2).wait_ready()
    sent = [app.send_task("tests.sample_app.once_at_a_time", (str(tmp_path),)) for _ in range(3)]
    until(lambda: app.broker.info("default").parked == 2, "two wait for the place")

    def running() -> list[str]:
        told = str(app.control.inspect(timeout=20.0).active())
        return [result.id for result in sent if result.id in told]

    # Two children fetched at once: whichever of their tasks was first to take the place runs.
    (first,) = until(running, "one has the place and runs")
    revoked, kept = (result for result in sent if result.id != first)
    revoked.revoke()
    until(lambda: revoked.id in str(app.control.inspect(timeout=20.0).revoked()), "the worker knows that it is revoked")
    heard(app)
    (tmp_path / "go").touch()
    kept.get(timeout=20)
    until(lambda: revoked.state == "REVOKED", "the other one has ended as revoked")


def test_a_key_that_cannot_be_made_fails_the_task(
    redis_server: RedisServer, prefix: str, start_worker: StartWorker, producer: MakeProducer
) -> None:
    app = producer(redis_server)
    start_worker(redis_server, prefix)
    result: Any = app.send_task("tests.sample_app.for_customer", kwargs={"number": 3})
    error = result.get(timeout=20, propagate=False)
    assert "customer" in str(error)
    assert app.broker.info("default").in_flight == 0
