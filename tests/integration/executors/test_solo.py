"""The worker that is one process: tasks run in its main thread, and its heartbeats and probes are true all the while."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.executors.conftest import Bench
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel.errors import TaskRevokedError, TimeLimitExceeded


@pytest.fixture
def executor() -> str:
    return "solo"


@pytest.fixture
def kind() -> str:
    return "sync"


def test_tasks_run_in_the_process_that_was_started(bench: Bench) -> None:
    assert bench.send("pid").get(timeout=20) == bench.worker.pid
    assert bench.worker.children() == []


def test_many_results_come_back_and_retries_and_failures(bench: Bench) -> None:
    results = [bench.send("add", number, 1) for number in range(100)]
    assert [result.get(timeout=30) for result in results] == list(range(1, 101))
    assert bench.send("fails_twice").get(timeout=20) == 2
    with pytest.raises(LookupError):
        bench.send("fails").get(timeout=20)


def test_probes_and_questions_are_answered_while_a_task_runs(bench: Bench) -> None:
    bench.hold("a")
    assert bench.worker.probe("livez")[0] == 200
    assert bench.worker.probe("readyz")[0] == 200
    ((active),) = bench.app.control.inspect(timeout=20.0).active().values()
    assert [info["args"][0] for info in active] == ["a"]
    bench.go()


def test_limits_are_raised_in_the_task(bench: Bench) -> None:
    assert bench.send("asked_to_end", str(bench.folder)).get(timeout=20).startswith("asked")
    doomed = bench.hold("doomed", "hold", time_limit=1.0)
    with pytest.raises(TimeLimitExceeded, match="limit of 1 s"):
        doomed.get(timeout=20)
    assert bench.claim("Hard limit and `revoke(terminate=True)`: `finally` blocks run") == "yes"
    until(lambda: bench.notes("left") == ["doomed"], "it has tidied up")
    assert bench.send("pid").get(timeout=20) == bench.worker.pid


def test_a_running_task_can_be_terminated(bench: Bench) -> None:
    doomed = bench.hold("doomed", "hold")
    doomed.revoke(terminate=True)
    with pytest.raises(TaskRevokedError, match="terminated"):
        doomed.get(timeout=20)
    assert bench.send("pid").get(timeout=20) == bench.worker.pid


def test_sigterm_lets_the_task_end_and_gives_back_what_has_not_begun(bench: Bench) -> None:
    running = bench.hold("a")
    waiting = bench.send("charges", "b", str(bench.folder))
    bench.worker.send(signal.SIGTERM)
    until(lambda: bench.worker.events("worker.draining"), "it drains")
    bench.go()
    assert running.get(timeout=20)["attempt"] == 0
    assert bench.worker.process.wait(30) == 0
    bench.another()
    assert waiting.get(timeout=20) == {"attempt": 0, "lost": 0, "suspect": 0, "requeues": 0}


def test_a_second_signal_hands_back_what_runs(bench: Bench) -> None:
    running = bench.hold("a")
    for _ in range(2):
        bench.worker.send(signal.SIGTERM)
        until(lambda: bench.worker.events("worker.draining"), "it drains")
    assert bench.worker.process.wait(30) == 0
    bench.go()
    bench.another()
    assert running.get(timeout=20) == {"attempt": 1, "lost": 0, "suspect": 0, "requeues": 1}


def test_the_app_may_ask_for_it(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    worker = start_worker(
        redis_server, prefix, app="tests.executor_app:app", environment={"UMBEL_WORKER_POOL": "solo"}
    ).wait_ready()
    assert worker.children() == []
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.process.wait(30) == 0


def test_it_is_not_replaced(bench: Bench) -> None:
    assert bench.claim("`--max-tasks-per-child`, `--max-memory-per-child`") == "no"
    bench.worker.stop()
    bench.worker = bench.another("--max-tasks-per-child", "1")
    assert {bench.send("pid").get(timeout=20) for _ in range(3)} == {bench.worker.pid}


def test_what_a_task_sets_for_itself_is_seen_by_the_next(bench: Bench) -> None:
    bench.send("sets_variable", "first").get(timeout=20)
    seen = bench.claim("Context variables that a `def` task sets are seen by later tasks") == "yes"
    assert (bench.send("sets_variable", "second").get(timeout=20) == "first") is seen
