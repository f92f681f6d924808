"""`WorkerShutdown` and `WorkerTerminate`: the code of an app has its worker end, and nothing is lost or run again for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.exceptions import WorkerShutdown
from umbel.result import AsyncResult
from umbel.testing import InMemoryWorker

APP = "tests.leaving_app:app"
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


def empty(app: Umbel) -> bool:
    info = app.broker.info("default")
    return info.ready + info.in_flight == 0


def told_of(result: AsyncResult[Any], name: str) -> None:
    """Wait for a task that had its worker end. Who waits, in another worker perhaps, is not to end for that."""
    with pytest.raises(Exception, match=name):
        result.get(timeout=30)


@pytest.mark.parametrize("pool", ["process", "thread", "asyncio", "solo"])
def test_a_shutdown_lets_what_runs_end(
    pool: str, redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    worker = start_worker(redis_server, prefix, "--pool", pool, app=APP, concurrency=2 if pool != "solo" else 1)
    worker.wait_ready()
    app = producer(redis_server)
    suffix = "_async" if pool == "asyncio" else ""
    if pool != "solo":
        waiting = app.send_task(f"wait{suffix}", (str(tmp_path),))
        until(lambda: runs(worker.ledger, "waiting"), "it runs")
    ending = app.send_task(f"shutdown{suffix}", (3,))
    told_of(ending, "WorkerShutdown")
    left = app.send_task("last")
    until(lambda: worker.events("worker.draining"), "the worker drains")
    (tmp_path / "go").touch()
    assert worker.process.wait(30) == 3
    if pool != "solo":
        assert waiting.get(timeout=20) == "waited"
    assert not left.ready()
    assert app.broker.info("default").ready == 1
    assert worker.events("worker.leaving")[0]["exitcode"] == 3


@pytest.mark.parametrize("pool", ["process", "thread", "solo"])
def test_a_terminate_gives_back_what_runs_but_not_who_asks(
    pool: str, redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    worker = start_worker(redis_server, prefix, "--pool", pool, app=APP, concurrency=2 if pool != "solo" else 1)
    worker.wait_ready()
    app = producer(redis_server)
    if pool != "solo":
        waiting = app.send_task("wait", (str(tmp_path),))
        until(lambda: runs(worker.ledger, "waiting"), "it runs")
    ending = app.send_task("terminate", (4,))
    told_of(ending, "WorkerTerminate")
    assert worker.process.wait(30) == 4
    assert len(runs(worker.ledger, "terminating")) == 1
    if pool == "solo":
        assert empty(app)
        return
    (tmp_path / "go").touch()
    assert not waiting.ready()
    start_worker(redis_server, prefix, app=APP).wait_ready()
    assert waiting.get(timeout=30) == "waited"
    assert len(runs(worker.ledger, "terminating")) == 1


@pytest.mark.parametrize(
    ("where", "pool"),
    [
        ("worker_ready", "process"),
        ("worker_process_init", "process"),
        ("worker_process_init", "thread"),
        ("task_prerun", "process"),
        ("task_success", "asyncio"),
        ("after_return", "process"),
        ("command", "process"),
    ],
)
def test_receivers_handlers_and_commands_may_ask_too(
    where: str, pool: str, redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    environment = {"LEAVE_IN": where}
    worker = start_worker(redis_server, prefix, "--pool", pool, app=APP, environment=environment, concurrency=1)
    app = producer(redis_server)
    if where not in ("worker_ready", "worker_process_init"):
        worker.wait_ready()
        if where == "command":
            assert app.control.broadcast("retire", reply=True, timeout=20) == [
                {worker.hostname: {"ok": "shutting down"}}
            ]
        else:
            assert app.send_task("last").get(timeout=30) == "last"
    assert worker.process.wait(30) == 7
    assert empty(app)


def test_where_no_worker_runs_them_they_end_the_program() -> None:
    with Umbel("none", broker="memory://leaving", set_as_current=False) as app:

        @app.task(name="ends")
        def ends() -> None:
            raise WorkerShutdown(2)

        @app.task(name="other")
        def other() -> None: ...

        with pytest.raises(WorkerShutdown):
            ends.apply(throw=True)
        first, second = ends.delay(), other.delay()
        assert InMemoryWorker(app).run() == 1
        assert first.failed()
        assert not second.ready()
        assert InMemoryWorker(app).run() == 1
