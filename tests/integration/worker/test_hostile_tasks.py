"""Tasks that treat their process badly hurt themselves at the most: none is lost, none runs for ever, the worker goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel
from umbel.errors import Reject, WorkerLostError

H = "tests.hostile_app."
Produce = Callable[..., Umbel]


@pytest.fixture
def worker(redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker]) -> Worker:
    return start_worker(redis_server, prefix, app="tests.hostile_app:app", concurrency=1).wait_ready()


@pytest.fixture
def app(worker: Worker, redis_server: RedisServer, producer: Produce) -> Umbel:
    return producer(redis_server)


def _goes_on(app: Umbel) -> None:
    assert app.send_task(H + "add", (1, 1)).get(timeout=30) == 2


def test_a_refusal_that_json_cannot_carry_is_a_dead_letter(app: Umbel, worker: Worker) -> None:
    result = app.send_task(H + "rejects_unspeakably")
    with pytest.raises(Reject, match="caf"):
        result.get(timeout=30)
    (letter,) = until(lambda: app.broker.dead("default"), "the dead letter")
    assert letter.reason["reason"] == "Rejected"
    assert "caf" in letter.reason["message"]
    assert not worker.events("child.died")


def test_a_closed_queue_takes_the_retry_of_a_task_that_runs_at_most_once(app: Umbel, worker: Worker) -> None:
    """Its message was taken before the queue was closed, and a retry is no new task."""
    result = app.send_task(H + "once_and_again")
    until(lambda: app.broker.info("default").ready == 0, "it was taken")
    app.broker.configure("default", {"intake": "Reject"}, 1)
    assert result.get(timeout=30) == 1
    assert not worker.events("child.died")


def test_a_forked_process_that_comes_back_ends(app: Umbel, worker: Worker) -> None:
    first = app.send_task(H + "pid").get(timeout=30)
    forked = app.send_task(H + "forks_and_returns").get(timeout=30)

    def gone() -> bool:
        stat = Path(f"/proc/{forked}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"

    until(gone, "the forked process has ended")
    assert app.send_task(H + "pid").get(timeout=30) == first
    assert not worker.events("child.died")


def test_a_tasks_own_process_ends_on_sigterm(app: Umbel) -> None:
    assert app.send_task(H + "ends_a_process").get(timeout=30) == -signal.SIGTERM


def test_closing_all_descriptors_costs_the_child_at_the_most(app: Umbel, worker: Worker) -> None:
    result = app.send_task(H + "closes_descriptors")
    assert result.get(timeout=30) == "closed"
    for _ in range(5):
        _goes_on(app)
    began = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began < 20.0


def test_exit_is_a_failure_of_the_task(app: Umbel, worker: Worker) -> None:
    error = app.send_task(H + "leaves").get(timeout=15, propagate=False)
    assert "3" in str(error)
    assert not worker.events("child.died")


def test_becoming_a_daemon_ends_as_a_dead_letter(app: Umbel) -> None:
    with pytest.raises(WorkerLostError, match="died 3 times"):
        app.send_task(H + "daemonises").get(timeout=30)
    _goes_on(app)


def test_another_directory_does_not_matter(app: Umbel) -> None:
    assert app.send_task(H + "moves_away").get(timeout=30) == "/"
    _goes_on(app)


def test_a_long_list_of_revoked_ids_does_not_deafen_a_child(app: Umbel, worker: Worker) -> None:
    app.broker.revoke([f"{number:0100}" for number in range(6000)])
    _goes_on(app)
    began = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began < 20.0
