"""Commands that change a worker while it runs: queues, processes, limits. Nothing that runs is hurt, nothing is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, heard, runs, until

from umbel import Umbel
from umbel.errors import ImproperlyConfigured, TaskRevokedError, TimeLimitExceeded

S = "tests.sample_app."
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


@pytest.fixture(params=["process", "thread", "asyncio"])
def executor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def start(
    start_worker: Start, server: RedisServer, prefix: str, executor: str = "process", concurrency: int = 2
) -> Worker:
    return start_worker(server, prefix, "--pool", executor, concurrency=concurrency).wait_ready()


def tell(app: Umbel, command: str, **arguments: Any) -> Any:
    """Send a command to the only worker, and return its answer."""
    (answer,) = app.control.broadcast(command, arguments, reply=True, timeout=20)
    return next(iter(answer.values()))


def test_a_queue_is_added_and_cancelled(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, executor: str
) -> None:
    worker = start(start_worker, redis_server, prefix, executor)
    app = producer(redis_server)
    waiting = app.send_task(S + "add", (1, 1), queue="urgent")
    assert app.control.add_consumer("urgent", reply=True, timeout=20) == [{worker.hostname: {"ok": "consuming urgent"}}]
    assert waiting.get(timeout=20) == 2
    assert tell(app, "add_consumer", queue="urgent") == {"ok": "already consuming urgent"}
    queues = app.control.inspect(timeout=20).active_queues()[worker.hostname]
    assert [queue["name"] for queue in queues] == ["default", "urgent"]
    # Idle children hear the new queue's bell
    for number in range(5):
        assert app.send_task(S + "add", (number, 1), queue="urgent").get(timeout=20) == number + 1
    assert tell(app, "cancel_consumer", queue="urgent") == {"ok": "no longer consuming urgent"}
    assert tell(app, "cancel_consumer", queue="urgent") == {"ok": "not consuming urgent"}
    until(lambda: registered_queues(app) == {"default"}, "the registry says so too")
    left = app.send_task(S + "add", (3, 3), queue="urgent")
    assert app.send_task(S + "add", (2, 2)).get(timeout=20) == 4
    assert app.broker.info("urgent").ready == 1
    tell(app, "add_consumer", queue="urgent")
    assert left.get(timeout=20) == 6
    assert "only queue" in tell(app, "cancel_consumer", queue="nonsense").get("error", "only queue")


def registered_queues(app: Umbel) -> set[str]:
    liveness = app.broker.liveness()
    try:
        return {queue for owner in liveness.owners() for queue in owner.queues}
    finally:
        liveness.close()


def test_what_runs_of_a_cancelled_queue_is_finished(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, executor: str, tmp_path: Path
) -> None:
    # Given a worker that runs a task of a queue, which it then lets go of
    worker = start_worker(redis_server, prefix, "--pool", executor, "--queues", "default,urgent", concurrency=1)
    worker.wait_ready()
    app = producer(redis_server)
    running = app.send_task(S + "hold", (1, str(tmp_path)), queue="urgent")
    until(lambda: (tmp_path / "running-1").exists(), "it runs")
    behind = app.send_task(S + "work", (2,), queue="urgent")
    tell(app, "cancel_consumer", queue="urgent")
    assert app.control.inspect(timeout=20).query_task(running.id)[worker.hostname][running.id][0] == "active"
    heard(app)
    # Then that one is finished, and nothing more of that queue begins
    (tmp_path / "go").touch()
    assert running.get(timeout=20) == 1
    assert app.send_task(S + "work", (3,)).get(timeout=20) == 3
    assert runs(worker.ledger) == ["1", "3"]
    assert app.broker.info("urgent").ready == 1
    assert not behind.ready()


def test_a_process_that_takes_the_place_of_another_knows_what_was_changed(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, executor: str
) -> None:
    worker = start(start_worker, redis_server, prefix, executor, concurrency=1)
    app = producer(redis_server)
    tell(app, "add_consumer", queue="urgent")
    assert tell(app, "time_limit", task_name=S + "later", hard=0.5)["ok"]
    (pid,) = app.control.inspect(timeout=20).stats()[worker.hostname]["pool"]["processes"]
    os.kill(pid, signal.SIGKILL)
    assert app.send_task(S + "add", (1, 1), queue="urgent").get(timeout=20) == 2
    with pytest.raises(TimeLimitExceeded):
        app.send_task(S + "later", (60,), queue="urgent").get(timeout=20)


def test_an_added_queue_survives_a_redis_that_was_emptied(
    own_redis: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    start(start_worker, own_redis, prefix)
    app = producer(own_redis)
    tell(app, "add_consumer", queue="urgent")
    with own_redis.client() as client:
        client.flushall()
    assert app.send_task(S + "add", (1, 1), queue="urgent").get(timeout=30) == 2
    until(lambda: registered_queues(app) == {"default", "urgent"}, "the new owners are on both queues")


def test_time_limits_win_over_those_of_the_task_and_of_the_call(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    worker = start(start_worker, redis_server, prefix)
    app = producer(redis_server)
    asked = app.control.time_limit(S + "asked_to_end", soft=0.2, hard=30, reply=True, timeout=20)
    assert asked == [{worker.hostname: {"ok": f"time limits of {S}asked_to_end: soft 0.2 s, hard 30 s"}}]
    heard(app)
    assert app.send_task(S + "asked_to_end", soft_time_limit=50.0).get(timeout=20) == "SoftTimeLimitExceeded"
    tell(app, "time_limit", task_name=S + "work", hard=0.5)

    def ended() -> str:
        """A child may begin a task in the moment before it hears of the limit."""
        return str(app.send_task(S + "work", (1, 3.0), time_limit=50.0).get(timeout=20, propagate=False))

    until(lambda: "0.5 s is over" in ended(), "the limit of the command holds")
    # And again those of the task
    assert "its own" in tell(app, "time_limit", task_name=S + "work")["ok"]
    heard(app)
    assert app.send_task(S + "work", (2, 0.7)).get(timeout=20) == 2
    assert "knows no task 'nope'" in tell(app, "time_limit", task_name="nope", hard=1)["error"]
    assert "seconds above 0" in tell(app, "time_limit", task_name=S + "work", hard=-1)["error"]
    with pytest.raises(ImproperlyConfigured, match="seconds above 0"):
        app.control.time_limit(S + "work", hard=0)


def test_a_pool_grows_and_shrinks_and_hurts_nothing_that_runs(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    worker = start(start_worker, redis_server, prefix, concurrency=1)
    app = producer(redis_server)

    def slots() -> int:
        return int(app.control.inspect(timeout=20).stats()[worker.hostname]["slots"])

    # Given a worker that grew from one process to three, all of which run a task
    assert app.control.pool_grow(2, reply=True, timeout=20) == [{worker.hostname: {"ok": "2 processes more"}}]
    until(lambda: slots() == 3, "two more")
    results = [app.send_task(S + "hold", (number, str(tmp_path))) for number in range(3)]
    until(lambda: len(list(tmp_path.glob("running-*"))) == 3, "all three run a task")
    # When it shrinks by two
    assert tell(app, "pool_shrink", n=2) == {"ok": "2 processes less"}
    assert "of which one has to stay" in tell(app, "pool_shrink", n=1)["error"]
    assert worker.probe("readyz")[0] == 200
    # Then all three tasks are finished, once, and one process stays
    (tmp_path / "go").touch()
    assert [result.get(timeout=20) for result in results] == [0, 1, 2]
    until(lambda: slots() == 1, "one is left")
    assert sorted(runs(worker.ledger)) == ["0", "1", "2"]
    assert worker.events("child.died") == []
    # And it can grow again, in the same slots
    tell(app, "pool_grow", n=1)
    until(lambda: slots() == 2, "one more")
    assert app.send_task(S + "add", (1, 1)).get(timeout=20) == 2
    assert "whole number from 1 on" in tell(app, "pool_grow", n=0)["error"]


def test_a_task_gets_a_signal_before_its_process_is_killed(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    worker = start(start_worker, redis_server, prefix, concurrency=1)
    app = producer(redis_server)
    stubborn = app.send_task(S + "on_signal", (1, str(tmp_path)))
    until(lambda: (tmp_path / "running-1").exists(), "it runs")
    assert app.control.terminate(stubborn.id, signal="SIGTERM", reply=True, timeout=20)
    with pytest.raises(TaskRevokedError, match="terminated"):
        stubborn.get(timeout=20)
    assert runs(worker.ledger, "signalled") == ["1"]
    # A signal that ends the process is no crash either
    falls = app.send_task(S + "hold", (2, str(tmp_path)))
    until(lambda: (tmp_path / "running-2").exists(), "it runs")
    app.control.terminate(falls.id, signal=int(signal.SIGUSR1))
    with pytest.raises(TaskRevokedError, match="terminated"):
        falls.get(timeout=20)
    assert worker.events("child.died") == []
    with pytest.raises(ImproperlyConfigured, match="does not end a process"):
        app.control.terminate(falls.id, signal="SIGSTOP")


def test_commands_that_change_workers_on_the_command_line(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    import subprocess
    import sys

    worker = start(start_worker, redis_server, prefix)

    def control(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "umbel", "control", *words],
            env={**os.environ, **worker.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    name = worker.hostname
    assert control("-t", "20", "add_consumer", "urgent", "--weight", "3") == f"{name}: OK, consuming urgent\n"
    assert control("-t", "20", "cancel_consumer", "urgent") == f"{name}: OK, no longer consuming urgent\n"
    assert "is the only queue" in control("-t", "20", "cancel_consumer", "default", code=1)
    assert "soft 1 s, hard 2 s" in control("-t", "20", "time_limit", S + "add", "1", "2")
    assert "soft none, hard 2 s" in control("-t", "20", "time_limit", S + "add", "2")
    assert "its own time limits again" in control("-t", "20", "time_limit", S + "add")
    assert "limits are seconds" in control("time_limit", S + "add", "x", code=2)
    assert control("-t", "20", "pool_grow", "2") == f"{name}: OK, 2 processes more\n"
    assert control("-t", "20", "pool_shrink") == f"{name}: OK, 1 process less\n"
    assert "of which one has to stay" in control("-t", "20", "pool_shrink", "9", code=1)
    assert "does not end a process" in control("terminate", "x", "-s", "STOP", code=2)


def test_a_rate_limit_is_changed_and_given_back(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, executor: str
) -> None:
    worker = start(start_worker, redis_server, prefix, executor)
    app = producer(redis_server)
    told = app.control.rate_limit(S + "add", "1/h", reply=True, timeout=20)
    assert told == [{worker.hostname: {"ok": "new rate limit set successfully"}}]
    # Children hear of it in their own time: from some task on the rate holds
    until(lambda: app.send_task(S + "add", (1, 1)) and app.broker.info("default").delayed, "one has to wait")
    assert tell(app, "rate_limit", task_name=S + "add") == {"ok": f"{S}add has its own rate limit again"}
    free: list[Any] = []

    def send_one() -> bool:
        free.append(app.send_task(S + "add", (2, 2)))
        return any(result.ready() for result in free)

    until(send_one, "none has to wait")
    assert "knows no task" in tell(app, "rate_limit", task_name="stranger", rate_limit="1/s")["error"]
    with pytest.raises(ValueError, match="no rate"):
        app.control.rate_limit(S + "add", "often")
