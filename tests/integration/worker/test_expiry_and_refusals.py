"""Tasks that are too late, and tasks that refuse: none is run that should not be, none vanishes that should not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.errors import Reject, TaskRevokedError

S = "tests.sample_app."
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


def test_a_delayed_task_that_expires_before_it_is_due_does_not_run(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix)
    result = app.send_task(S + "work", (1,), countdown=0.6, expires=0.3)
    with pytest.raises(TaskRevokedError, match="expired"):
        result.get(timeout=20)
    assert runs(worker.ledger) == []


def test_a_delayed_task_that_is_due_before_it_expires_runs(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    start_worker(redis_server, prefix)
    assert app.send_task(S + "work", (1,), countdown=0.3, expires=60).get(timeout=20) == 1


def test_a_retry_that_comes_too_late_does_not_run(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix).wait_ready()

    def ran_before() -> bool:
        """A busy machine may be late for the first run too."""
        result = app.send_task(S + "tries_for_ever", expires=1.0)
        with pytest.raises(TaskRevokedError, match="expired"):
            result.get(timeout=20)
        return len(runs(worker.ledger)) >= 1

    until(ran_before, "it did run before")


def test_rejected_with_requeue_comes_again_without_charge(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    app = producer(redis_server)
    start_worker(redis_server, prefix)
    result = app.send_task(S + "refuses", (str(tmp_path), True))
    until(lambda: app.broker.info("default").delayed == 1, "it waits for another try")
    (tmp_path / "go").touch()
    assert result.get(timeout=20) == 0


def test_rejected_without_requeue_is_a_dead_letter(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    app = producer(redis_server)
    start_worker(redis_server, prefix)
    result = app.send_task(S + "refuses", (str(tmp_path), False))
    with pytest.raises(Reject, match="not now"):
        result.get(timeout=20)
    (letter,) = until(lambda: app.broker.dead("default"), "the dead letter")
    assert letter.reason["reason"] == "Rejected"


def test_ignored_is_acknowledged_and_stores_nothing(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix)
    result = app.send_task(S + "ignores")
    until(lambda: runs(worker.ledger) == ["ignores"], "it ran")
    until(lambda: app.broker.info("default").in_flight == 0, "it was acknowledged")
    assert result.state == "PENDING"
    assert app.broker.dead("default") == []
