"""A queue's time limit, retries and time to keep results, in workers; and a bound on what they fetch ahead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel, errors
from umbel.redis import keys

APP = """
import asyncio, os, time
from umbel import Umbel

app = Umbel("plain")

def note(word):
    with open(os.environ["SAMPLE_LEDGER"], "a") as ledger:
        ledger.write(f"ran {word}\\n")

@app.task
def quick():
    return 1

@app.task
def sleeps(seconds):
    time.sleep(seconds)

@app.task
async def sleeps_async(seconds):
    await asyncio.sleep(seconds)

@app.task(time_limit=60)
def may_sleep(seconds):
    time.sleep(seconds)
    return "slept"

@app.task(bind=True)
def again(self):
    note("again")
    raise self.retry(countdown=0)
"""
LIMITED = {"time_limit": 1, "max_retries": 1, "result_ttl": 77}

Start = Callable[..., Worker]
Make = Callable[..., Umbel]


@pytest.fixture
def plain(tmp_path: Path, start_worker: Start, redis_server: RedisServer, prefix: str) -> Start:
    """Starts a worker of an app that sets nothing."""
    (tmp_path / "plain.py").write_text(APP)

    def start(*arguments: str, **environment: str) -> Worker:
        environment = {"PYTHONPATH": str(tmp_path), **environment}
        return start_worker(redis_server, prefix, *arguments, app="plain:app", environment=environment).wait_ready()

    return start


def kept(app: Umbel, server: RedisServer, prefix: str, task_id: str) -> float:
    """Return for how many more seconds a result is kept."""
    with server.client() as client:
        return client.pttl(keys.result(prefix, task_id)) / 1000  # type: ignore[operator]


@pytest.mark.parametrize(("pool", "task"), [("process", "sleeps"), ("asyncio", "sleeps_async")])
def test_the_queues_limits_act_on_tasks_without_their_own(
    plain: Start, producer: Make, redis_server: RedisServer, prefix: str, pool: str, task: str
) -> None:
    app = producer(redis_server)
    app.broker.configure("default", {"task_defaults": LIMITED}, 1)
    worker = plain("--pool", pool)
    overdue, retried = app.send_task(f"plain.{task}", (60,)), app.send_task("plain.again")
    with pytest.raises(errors.TimeLimitExceeded):
        overdue.get(timeout=30)
    with pytest.raises(errors.MaxRetriesExceededError):
        retried.get(timeout=30)
    assert len(runs(worker.ledger)) == 2
    quick = app.send_task("plain.quick")
    assert quick.get(timeout=30) == 1
    for result in (overdue, retried, quick):
        assert 0 < kept(app, redis_server, prefix, result.id) <= 77


def test_the_call_the_task_and_the_app_go_before_the_queue(
    plain: Start, producer: Make, redis_server: RedisServer, prefix: str
) -> None:
    app = producer(redis_server)
    app.broker.configure("default", {"task_defaults": LIMITED}, 1)
    plain(UMBEL_RESULT_EXPIRES="500")
    of_task = app.send_task("plain.may_sleep", (2,))
    of_call: Any = app.send_task("plain.sleeps", (2,), time_limit=60)
    assert of_task.get(timeout=30) == "slept"
    of_call.get(timeout=30)
    assert 400 < kept(app, redis_server, prefix, of_task.id) <= 500


def test_a_change_reaches_workers_that_run(plain: Start, producer: Make, redis_server: RedisServer) -> None:
    app = producer(redis_server)
    worker = plain()
    assert app.send_task("plain.quick").get(timeout=30) == 1
    app.broker.configure("default", {"task_defaults": {"max_retries": 0}}, 1)
    with pytest.raises(errors.MaxRetriesExceededError):
        app.send_task("plain.again").get(timeout=30)
    assert len(runs(worker.ledger)) == 1


@pytest.mark.parametrize(("pool", "prefetch", "most"), [("process", 0, 1), ("process", 3, 4), ("thread", 0, 2)])
def test_no_more_is_held_ahead_than_allowed(
    start_worker: Start, producer: Make, redis_server: RedisServer, prefix: str, pool: str, prefetch: int, most: int
) -> None:
    """Of tasks that are so short that hundreds would be held otherwise. How many come at once is what the owner's hash says."""
    app = producer(redis_server)
    worker = start_worker(
        redis_server,
        prefix,
        "--pool",
        pool,
        "--prefetch",
        str(prefetch),
        concurrency=1 if pool == "process" else 2,
    ).wait_ready()
    held = []
    with redis_server.client() as client:
        owned = list(client.scan_iter(f"{prefix}:{{default}}:o:*"))
        assert len(owned) == 1
        with app.batch():
            for number in range(3000):
                app.send_task("tests.sample_app.work", (number,))

        def done() -> bool:
            held.extend(client.hlen(owned[0]) - 1 for _ in range(20))  # type: ignore[operator]
            return len(runs(worker.ledger)) == 3000

        until(done, "all have run", 60)
    assert max(held) <= most
