"""Ends that a task's own code does not see, since its process was killed or died too often: its handlers hear of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.errors import TimeLimitExceeded, WorkerLostError

S = "tests.sample_app."
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


def test_a_hard_limit_calls_on_failure_and_after_return_once(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    worker = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    app = producer(redis_server)
    result = app.send_task(S + "mourned", (1,))
    with pytest.raises(TimeLimitExceeded, match="time limit of 1 s"):
        result.get(timeout=20)
    until(lambda: runs(worker.ledger, "returned"), "the handlers were called")
    until(lambda: app.broker.info("default").in_flight == 0, "it was reported")
    assert runs(worker.ledger) == ["1"]
    assert runs(worker.ledger, "failed") == ["TimeLimitExceeded [1] True"]
    assert runs(worker.ledger, "returned") == ["FAILURE"]
    info = app.broker.info("default")
    assert (info.ready, info.delayed, info.dead) == (0, 0, 0)
    assert app.AsyncResult(result.id).state == "FAILURE"


def test_poison_calls_on_failure_once_before_it_is_a_dead_letter(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    worker = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    app = producer(redis_server)
    result = app.send_task(S + "mourned_crash", (1,))
    with pytest.raises(WorkerLostError):
        result.get(timeout=20)
    assert runs(worker.ledger) == ["1", "1", "1"]
    assert runs(worker.ledger, "failed") == ["WorkerLostError [1] True"]
    assert [letter.reason for letter in app.dead.find()] == ["MaxDeliveries"]


def test_a_handler_that_kills_its_process_does_so_once(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    worker = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    app = producer(redis_server)
    result = app.send_task(S + "mourned_crash", (1, "die"))
    with pytest.raises(WorkerLostError):
        result.get(timeout=20)
    assert len(runs(worker.ledger, "failed")) == 1
    (letter,) = app.dead.find()
    assert letter.message["lost"] == 4


def test_a_handler_that_hangs_is_killed_too_and_the_task_ends(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    app.broker.configure("default", {"max_deliveries": 1}, 1)
    worker = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    result = app.send_task(
        S + "mourned", (1, "hang"), time_limit=3
    )  # the handler, too, may begin late on a busy machine
    with pytest.raises(TimeLimitExceeded):
        result.get(timeout=20)
    until(lambda: runs(worker.ledger, "failed"), "the handler was called")

    def ended() -> bool:
        info = app.broker.info("default")  # looked at twice, a message that goes back may be in neither
        return info.ready + info.in_flight == 0

    until(ended, "it has ended")
    assert runs(worker.ledger) == ["1"]
    assert len(runs(worker.ledger, "failed")) <= 2
    assert app.send_task(S + "add", (1, 1)).get(timeout=20) == 2


def test_a_task_that_outlasts_a_drain_and_is_to_fail_tells_its_handlers_in_the_next_worker(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    environment = {"UMBEL_DRAIN_TIMEOUT": "0.2", "UMBEL_DRAIN_ON_TIMEOUT": "fail"}
    worker = start_worker(redis_server, prefix, environment=environment, concurrency=1).wait_ready()
    result = app.send_task(S + "mourned", (1,), time_limit=60)
    until(lambda: runs(worker.ledger), "it runs")
    assert worker.stop() == 0
    with pytest.raises(WorkerLostError, match="did not finish in time"):
        result.get(timeout=20)  # who waits is told at once, though no worker is there
    assert runs(worker.ledger, "failed") == []
    start_worker(redis_server, prefix, concurrency=1)
    until(lambda: runs(worker.ledger, "returned"), "the handlers were called")
    assert runs(worker.ledger) == ["1"]
    assert runs(worker.ledger, "failed") == ["WorkerLostError [1] True"]


def test_errors_are_stored_though_results_are_ignored(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    start_worker(redis_server, prefix, concurrency=1).wait_ready()
    app = producer(redis_server)
    sent = app.send_task(S + "overdue_ignored", ignore_result=True)
    kept = app.AsyncResult(sent.id)
    until(lambda: kept.state == "FAILURE", "the failure is stored")
    with pytest.raises(TimeLimitExceeded):
        kept.get(timeout=10)
