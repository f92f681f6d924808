"""A task of a Broadcast queue runs once in each worker, by real workers that die, end, and come back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.redis_cluster import RedisCluster
from tests.redis_server import RedisServer
from tests.workers import ROOT, Worker, runs, until

from umbel import Umbel, chain, signature, worker_direct
from umbel.errors import TaskRevokedError, WorkerLostError

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


@pytest.mark.parametrize("pool", ["thread", "asyncio", "solo"])
def test_each_executor_copies_and_runs_copies(app: Umbel, workers: Workers, pool: str) -> None:
    (worker,) = workers(1, "--pool", pool)
    sent = [app.send_task(A + name, ("a",), queue="everyone") for name in ("note", "note_async")]
    for result in sent:
        assert result.get(timeout=30) == {worker.hostname: f"{result.id}.{worker.hostname}"}
        assert result.children[0].get(timeout=30) == worker.hostname
    assert runs(worker.ledger) == [f"{worker.hostname} a"] * 2


def test_it_works_on_a_cluster(
    redis_cluster: RedisCluster, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    server: Any = redis_cluster
    environment = {"OWN_QUEUE_GRACE": "0.5"}
    started = [
        start_worker(server, prefix, app="tests.broadcast_app:app", concurrency=1, environment=environment)
        for _ in range(2)
    ]
    killed, other = [worker.wait_ready() for worker in started]
    app = producer(server)
    copies = app.send_task(A + "note", ("a",), queue="everyone").get(timeout=30)
    assert {name: app.AsyncResult(copy).get(timeout=30) for name, copy in copies.items()} == {
        name: name for name in (killed.hostname, other.hostname)
    }
    killed.kill()
    bury(app, killed)
    direct = app.send_task(A + "note", ("b",), queue=worker_direct(killed.hostname))
    with pytest.raises(WorkerLostError, match="has not come back"):
        direct.get(timeout=30)
    assert sorted(runs(other.ledger)) == [f"{killed.hostname} a", f"{other.hostname} a"]


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
    asked = app.control.inspect(destination=[worker.hostname])
    until(lambda: result.id in str(asked.revoked()), "its child knows that it is revoked")
    (tmp_path / "go").touch()
    assert holding.get(timeout=30) == worker.hostname
    waiting = app.AsyncResult(copies[worker.hostname])
    with pytest.raises(Exception, match="revoked"):
        waiting.get(timeout=30)
    assert runs(worker.ledger, "ran") == [f"{worker2.hostname} a", worker.hostname]


def test_copies_of_a_killed_worker_end_after_the_grace(app: Umbel, workers: Workers, tmp_path: Path) -> None:
    killed, other = workers(2, OWN_QUEUE_GRACE="0.5", WORKER_DIRECT="1")
    busy = app.send_task(A + "hold", (str(tmp_path),), queue=worker_direct(killed.hostname))
    until(lambda: list(tmp_path.glob("running-*")), "the worker is busy")
    direct = app.send_task(A + "note", ("direct",), queue=worker_direct(killed.hostname))
    copies = app.send_task(A + "note", ("all",), queue="everyone").get(timeout=30)
    assert app.AsyncResult(copies[other.hostname]).get(timeout=30) == other.hostname
    killed.kill()
    bury(app, killed)
    # Whoever waits is told
    with pytest.raises(TaskRevokedError, match="is gone"):
        app.AsyncResult(copies[killed.hostname]).get(timeout=30)
    for result in (direct, busy):
        with pytest.raises(WorkerLostError, match="has not come back"):
            result.get(timeout=30)
    queue = worker_direct(killed.hostname).name
    letters = {letter.reason["id"]: letter.reason["reason"] for letter in app.broker.dead(queue)}
    assert letters == {direct.id: "WorkerGone", busy.id: "WorkerGone"}
    until(lambda: app.broker.settings(queue) == {"serial": -1}, "nothing else is left of the queue")
    # The other one's queue goes on
    assert app.send_task(A + "note", ("b",), queue=worker_direct(other.hostname)).get(timeout=30) == other.hostname


def test_a_worker_that_comes_back_under_its_name_runs_what_waited(app: Umbel, workers: Workers) -> None:
    gone, other = workers(2)
    gone.kill()
    bury(app, gone)
    sent = app.send_task(A + "note", ("direct",), queue=worker_direct(gone.hostname))
    (back,) = workers(1, "--hostname", gone.hostname)
    assert sent.get(timeout=30) == gone.hostname
    copies = app.send_task(A + "note", ("all",), queue="everyone").get(timeout=30)
    assert sorted(copies) == sorted([gone.hostname, other.hostname])
    assert back.stop() == 0


def bury(app: Umbel, worker: Worker) -> None:
    """Bury the owners of a worker that was killed at once, as the one who sees a pod vanish would."""
    liveness = app.broker.liveness()
    try:
        for owner in liveness.owners():
            if owner.hostname == worker.hostname:
                liveness.bury(owner.id)
    finally:
        liveness.close()


def test_beat_sends_to_all(
    app: Umbel, redis_server: RedisServer, prefix: str, workers: Workers, tmp_path: Path
) -> None:
    started = workers(2)
    environment = {"UMBEL_BROKER_URL": redis_server.url, "UMBEL_KEY_PREFIX": prefix, "BEAT_TO_ALL": "1"}
    with (tmp_path / "beat.log").open("wb") as log:
        command = [sys.executable, "-m", "umbel", "-A", "tests.broadcast_app:app", "beat", "--max-interval", "0.2"]
        beat = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log)
    try:
        names = {f"{worker.hostname} beat" for worker in started}
        until(lambda: names <= set(runs(started[0].ledger)), "each worker has run it")
    finally:
        beat.terminate()
        assert beat.wait(20) == 0


def test_a_queue_that_is_added_and_cancelled_is_known_as_one_for_all(app: Umbel, workers: Workers) -> None:
    first, second = workers(2, "--queues", "default")
    waiting = app.send_task(A + "note", ("a",), queue="everyone")
    everywhere = [f"{worker.hostname}.dq2" for worker in (first, second)]
    app.control.add_consumer("everyone", destination=[first.hostname], reply=True, timeout=20)
    assert list(waiting.get(timeout=30)) == [first.hostname]
    app.control.add_consumer("everyone", reply=True, timeout=20)
    active = app.control.inspect(timeout=20).active_queues()
    assert [{queue["name"] for queue in active[worker.hostname]} for worker in (first, second)] == [
        {"default", "everyone", own} for own in everywhere
    ]
    until(lambda: len(copied(app)) == 2, "both are told")
    # One's own queue stays while something may be copied to it
    (answer,) = app.control.cancel_consumer(everywhere[0], destination=[first.hostname], reply=True, timeout=20)
    assert "everyone" in answer[first.hostname]["error"]
    app.control.cancel_consumer("everyone", destination=[first.hostname], reply=True, timeout=20)
    until(lambda: list(copied(app)) == [second.hostname], "the other one alone is left")


def copied(app: Umbel) -> dict[str, str]:
    """Return to whom a task is copied now."""
    found: dict[str, str] = app.send_task(A + "note", ("b",), queue="everyone").get(timeout=30)
    return found
