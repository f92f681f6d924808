"""Real workers on queues with bounds, rates and groups."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.broker.base import Outgoing
from umbel.dropping import look_after
from umbel.errors import QueueFull
from umbel.message import Message
from umbel.rates import RateLimit

S = "tests.sample_app."
Q = "default"
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


def test_a_tenant_with_ten_tasks_does_not_wait_for_one_with_twenty_thousand(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    many = 20_000
    with app.batch():
        for number in range(many):
            app.send_task(S + "silent", (number,), group="big", ignore_result=True)
    with app.batch():
        few = [app.send_task(S + "work", (-number,), group="small") for number in range(1, 11)]
    worker = start_worker(redis_server, prefix)
    assert [result.get(timeout=60) for result in few] == [-number for number in range(1, 11)]
    until(lambda: not app.broker.info(Q).ready, "the big tenant is served too", 60)
    until(lambda: len(runs(worker.ledger)) == many + 10, "all has been noted")
    last = max(place for place, number in enumerate(runs(worker.ledger)) if int(number) < 0)
    assert last < many // 2, "they waited for the others"


def calls_of_scripts(server: RedisServer) -> int:
    with server.client() as client:
        return int(client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def test_workers_sleep_until_the_rate_limit_lets_them_on(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    app.broker.configure(Q, {"rate_limit": RateLimit(10, 1.0, burst=1)}, 1)
    worker = start_worker(redis_server, prefix, concurrency=6).wait_ready()
    before, began = calls_of_scripts(redis_server), time.monotonic()
    with app.batch():
        sent = [app.send_task(S + "add", (number, 0)) for number in range(20)]
    assert [result.get(timeout=30) for result in sent] == list(range(20))
    took, calls = time.monotonic() - began, calls_of_scripts(redis_server) - before
    assert took >= 19 * 0.1 - 0.05
    # Two or three calls a task, some a second for six children and their heartbeat; who spins makes thousands.
    assert calls < 200 + 20 * took, f"{calls} calls in {took:.1f} s"
    worker.stop()


def test_a_dropped_task_fails_and_is_a_dead_letter(redis_server: RedisServer, producer: Produce) -> None:
    app = producer(redis_server)
    app.broker.configure(Q, {"max_length": 2, "overflow": "DropOldest"}, 1)
    first, *_ = [app.send_task(S + "add", (number, 0)) for number in range(3)]
    with pytest.raises(QueueFull, match="dropped this task, unrun, for a newer one"):
        first.get(timeout=10)
    (letter,) = app.broker.dead(Q)
    assert (letter.reason["reason"], letter.reason["id"]) == ("Dropped", first.id)
    assert app.broker.dropped(Q) == []


def message(app: Umbel, number: int) -> Outgoing:
    headers = {"id": f"{number}", "task": S + "add", "reply_to": app.results.inbox()}
    return Outgoing(Message(headers, b"[[1,2],{}]").encode(), f"{number}")


def test_who_waits_is_told_though_the_producer_died_after_the_drop(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    app.broker.configure(Q, {"max_length": 1, "overflow": "DropOldest", "dispatch": "Held"}, 1)
    for number in range(2):
        app.broker.publish(Q, [message(app, number)])  # and nothing more: as if killed in between
    assert len(app.broker.dropped(Q)) == 1
    start_worker(redis_server, prefix, concurrency=1)
    with pytest.raises(QueueFull):
        app.AsyncResult("0").get(timeout=30)


def test_looking_after_a_queue_twice_ends_each_once(redis_server: RedisServer, producer: Produce) -> None:
    app = producer(redis_server)
    app.broker.configure(Q, {"max_length": 1, "overflow": "DropOldest"}, 1)
    for number in range(4):
        app.broker.publish(Q, [message(app, number)])
    assert look_after(app.broker, [Q]) == 3
    assert look_after(app.broker, [Q]) == 0
    assert app.broker.info(Q).dead == 3


def test_a_full_queue_refuses_to_take_more(redis_server: RedisServer, producer: Produce) -> None:
    app = producer(redis_server)
    app.broker.configure(Q, {"max_length": 2, "overflow": "Reject"}, 1)
    for number in range(2):
        app.send_task(S + "add", (number, 0))
    with pytest.raises(QueueFull, match="Send again later, start more workers, or raise"):
        app.send_task(S + "add", (3, 0))
    assert app.broker.info(Q).ready == 2


def test_a_batch_names_what_was_not_sent(redis_server: RedisServer, producer: Produce) -> None:
    app = producer(redis_server)
    app.broker.configure(Q, {"max_length": 2, "overflow": "Reject"}, 1)
    sent: list[Any] = []
    with pytest.raises(QueueFull) as raised, app.batch():
        sent += [app.send_task(S + "add", (number, 0)) for number in range(3)]
    assert raised.value.task_ids == tuple(result.id for result in sent)


@pytest.mark.parametrize("order", ["weighted", "round-robin", "strict"])
def test_a_busy_worker_hears_of_its_other_queue(
    order: str, redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix, "-Q", "first,second", "--queue-order", order, concurrency=1)
    worker.wait_ready()
    with app.batch():
        for number in range(1000):
            app.send_task(S + "work", (number, 0.02), queue="second")
    until(lambda: app.broker.info("second").ready < 990, "it works on the second queue")
    assert app.send_task(S + "add", (2, 3), queue="first").get(timeout=30) == 5
    assert app.broker.info("second").ready > 100, "the first queue waited until the second was empty"
    app.broker.purge("second")


def test_strictly_the_second_queue_waits_for_the_first(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    with app.batch():
        for number in range(200):
            app.send_task(S + "work", (number, 0.0), queue="second")
        last = [app.send_task(S + "work", (1000 + number, 0.0), queue="first") for number in range(200)][-1]
    worker = start_worker(redis_server, prefix, "-Q", "first,second", "--queue-order", "strict", concurrency=1)
    last.get(timeout=20)
    until(lambda: not app.broker.info("second").ready, "all has run")
    until(lambda: len(runs(worker.ledger)) == 400, "all has been noted")
    numbers = [int(number) for number in runs(worker.ledger)]
    assert all(number >= 1000 for number in numbers[:200])
