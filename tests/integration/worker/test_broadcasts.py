"""A task of a Broadcast queue runs once in each worker, by real workers that die, end, and come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel, chain, signature

Produce = Callable[..., Umbel]
Workers = Callable[..., list[Worker]]
A = "tests.broadcast_app."


@pytest.fixture
def workers(redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker]) -> Workers:
    """Start workers, and wait until they are ready."""

    def start(count: int = 3, *arguments: str, **environment: str) -> list[Worker]:
        options: dict[str, Any] = {"app": "tests.broadcast_app:app", "concurrency": 1, "environment": environment}
        started = [start_worker(redis_server, prefix, *arguments, **options) for _ in range(count)]
        return [worker.wait_ready() for worker in started]

    return start


@pytest.fixture
def app(redis_server: RedisServer, producer: Produce) -> Umbel:
    return producer(redis_server)


def test_each_worker_runs_it_once(app: Umbel, workers: Workers) -> None:
    started = workers()
    names = sorted(worker.hostname for worker in started)
    result = app.send_task(A + "note", ("a",), queue="everyone")
    copies = result.get(timeout=30)
    assert sorted(copies) == names
    # Each copy has a result of its own, and descends from what was sent
    assert sorted(child.id for child in result.children) == sorted(copies.values())
    assert {name: app.AsyncResult(copy).get(timeout=30) for name, copy in copies.items()} == {
        name: name for name in names
    }
    assert sorted(runs(started[0].ledger)) == [f"{name} a" for name in names]
    # And a task of another queue runs once, somewhere
    assert app.send_task(A + "note", ("b",), queue="default").get(timeout=30) in names


def test_a_child_that_dies_while_it_copies_makes_no_second_copy(app: Umbel, workers: Workers, tmp_path: Path) -> None:
    mark = tmp_path / "died"
    started = workers(2, DIE_ONCE=str(mark))
    copies = app.send_task(A + "note", ("a",), queue="everyone").get(timeout=30)
    assert mark.exists()
    assert all(app.AsyncResult(copy).get(timeout=30) for copy in copies.values())
    assert sorted(runs(started[0].ledger)) == sorted(f"{worker.hostname} a" for worker in started)


def test_a_retry_stays_with_its_worker(app: Umbel, workers: Workers) -> None:
    started = workers(2)
    copies = app.send_task(A + "second_try", (), queue="everyone").get(timeout=30)
    assert sorted(app.AsyncResult(copy).get(timeout=30) for copy in copies.values()) == sorted(
        f"{worker.hostname}.dq2" for worker in started
    )
    assert len(runs(started[0].ledger)) == 4


def test_it_is_a_step_of_a_workflow_that_ends_when_it_is_copied(app: Umbel, workers: Workers) -> None:
    started = workers(2)
    first = signature(A + "note", ("a",), queue="everyone", app=app)
    then = signature(A + "names", queue="default", app=app)
    assert chain(first, then).apply_async().get(timeout=30) == sorted(worker.hostname for worker in started)
    until(lambda: len(runs(started[0].ledger)) == 2, "each worker has run it")


def test_revoking_it_revokes_the_copies_that_wait(app: Umbel, workers: Workers, tmp_path: Path) -> None:
    (worker,) = workers(1)
    holding = app.send_task(A + "hold", (str(tmp_path),), queue="default")
    until(lambda: list(tmp_path.glob("running-*")), "the only child is busy")
    result = app.send_task(A + "note", ("a",), queue="everyone")
    (worker2,) = workers(1)
    copies = result.get(timeout=30)
    assert sorted(copies) == sorted([worker.hostname, worker2.hostname])
    assert app.AsyncResult(copies[worker2.hostname]).get(timeout=30) == worker2.hostname
    # The copy of the worker that is busy waits
    result.revoke()
    (tmp_path / "go").touch()
    assert holding.get(timeout=30) == worker.hostname
    waiting = app.AsyncResult(copies[worker.hostname])
    with pytest.raises(Exception, match="revoked"):
        waiting.get(timeout=30)
    assert runs(worker.ledger, "ran") == [f"{worker2.hostname} a", worker.hostname]
