"""A worker as a real process: what a task may do, and what its caller sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.errors import SoftTimeLimitExceeded, TaskRevokedError, TimeLimitExceeded, WorkerLostError
from umbel.message import decode

S = "tests.sample_app."
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


@pytest.fixture
def app(redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce) -> Umbel:
    """A producer whose tasks a worker with two children runs."""
    start_worker(redis_server, prefix).wait_ready()
    return producer(redis_server)


def test_a_result_comes_back(app: Umbel) -> None:
    result = app.send_task(S + "add", (2, 3))
    assert result.get(timeout=30) == 5
    assert result.state == "SUCCESS"
    assert result.successful()


def test_a_thousand_results_come_back(app: Umbel) -> None:
    results = [app.send_task(S + "add", (number, 1)) for number in range(1000)]
    assert [result.get(timeout=30) for result in results] == list(range(1, 1001))


def test_a_retry_keeps_the_id_and_counts(app: Umbel) -> None:
    assert app.send_task(S + "fails_twice").get(timeout=30) == 2


def test_retries_end_with_the_original_exception(app: Umbel) -> None:
    result = app.send_task(S + "never_succeeds")
    with pytest.raises(ValueError, match="never"):
        result.get(timeout=30)
    assert result.state == "FAILURE"
    assert "ValueError: never" in (result.traceback or "")


def test_a_hard_limit_kills_the_task_and_only_that(app: Umbel) -> None:
    doomed = app.send_task(S + "too_long")
    others = [app.send_task(S + "add", (number, 0)) for number in range(50)]
    with pytest.raises(TimeLimitExceeded, match="1 s"):
        doomed.get(timeout=30)
    assert [result.get(timeout=30) for result in others] == list(range(50))


def test_a_soft_limit_can_be_caught(app: Umbel) -> None:
    assert app.send_task(S + "asked_to_end").get(timeout=30) == SoftTimeLimitExceeded.__name__


def test_a_call_may_set_its_own_limit(app: Umbel, tmp_path: Path) -> None:
    with pytest.raises(TimeLimitExceeded):
        app.send_task(S + "hold", (1, str(tmp_path)), time_limit=0.5).get(timeout=30)


def test_a_delayed_task_waits_in_redis(app: Umbel) -> None:
    result = app.send_task(S + "add", (1, 1), countdown=2.0)
    info = app.broker.info("default")
    assert (info.delayed, info.in_flight) == (1, 0)
    assert result.get(timeout=30) == 2


def test_an_expired_task_does_not_run(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    result = app.send_task(S + "work", (1,), expires=0.1)
    until(lambda: app.broker.info("default").oldest_age > 0.3, "it has expired")
    worker = start_worker(redis_server, prefix)
    with pytest.raises(TaskRevokedError, match="expired"):
        result.get(timeout=30)
    assert runs(worker.ledger) == []


def test_a_task_that_kills_its_process_ends_as_a_dead_letter(app: Umbel) -> None:
    result = app.send_task(S + "exits")
    with pytest.raises(WorkerLostError, match="died 3 times"):
        result.get(timeout=30)
    (letter,) = until(lambda: app.broker.dead("default"), "the dead letter")
    assert letter.reason["reason"] == "MaxDeliveries"
    assert decode(letter.payload).headers["id"] == result.id


def test_at_most_once_is_not_run_again(app: Umbel, tmp_path: Path) -> None:
    result = app.send_task(S + "exits_once")
    with pytest.raises(WorkerLostError, match="acks_late=False"):
        result.get(timeout=30)
    assert app.send_task(S + "add", (1, 1)).get(timeout=30) == 2
    assert (tmp_path / "ledger").read_text().splitlines() == ["exits_once"]


def test_children_are_forked_from_one_import_and_its_objects_are_frozen(app: Umbel) -> None:
    seen = [tuple(app.send_task(S + "inherited").get(timeout=30)) for _ in range(20)]
    assert min(frozen for frozen, _, _ in seen) > 10_000
    (imported_by,) = {imported_by for _, imported_by, _ in seen}
    assert imported_by not in {child for _, _, child in seen}


def test_started_is_stored_when_asked_for(app: Umbel, tmp_path: Path) -> None:
    result = app.send_task(S + "tracked", (str(tmp_path),))
    until(lambda: result.state == "STARTED", "STARTED")
    (tmp_path / "go").touch()
    assert result.get(timeout=30) == "done"


def test_progress_is_seen(app: Umbel, tmp_path: Path) -> None:
    result = app.send_task(S + "progresses", (str(tmp_path),))
    until(lambda: result.state == "PROGRESS", "PROGRESS")
    assert result.info == {"percent": 40}
    (tmp_path / "go").touch()
    assert result.get(timeout=30) == "done"


def test_a_coroutine_runs(app: Umbel) -> None:
    assert app.send_task(S + "later", (0.01,)).get(timeout=30) == "awaited"


def test_an_ignored_result_is_not_stored(app: Umbel, redis_server: RedisServer, prefix: str, tmp_path: Path) -> None:
    result = app.send_task(S + "silent", (5,), ignore_result=True)
    until(lambda: runs(tmp_path / "ledger") == ["5"], "it ran")
    until(lambda: app.broker.info("default").in_flight == 0, "it was acknowledged")
    with redis_server.client() as client:
        assert not client.exists(f"{prefix}:{{{result.id}}}:res")


def test_a_revoked_task_does_not_run(app: Umbel, tmp_path: Path) -> None:
    result = app.send_task(S + "work", (1,), countdown=2.0)
    result.revoke()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=30)
    until(lambda: app.broker.info("default").delayed == 0, "the message is gone")
    assert app.send_task(S + "add", (1, 1)).get(timeout=30) == 2
    assert runs(tmp_path / "ledger") == []


def test_a_running_task_is_terminated(app: Umbel, tmp_path: Path) -> None:
    result = app.send_task(S + "hold", (1, str(tmp_path)))
    until(lambda: (tmp_path / "running-1").exists(), "it runs")
    app.control.revoke(result.id, terminate=True)
    with pytest.raises(TaskRevokedError, match="terminated"):
        result.get(timeout=30)
    assert result.state == "REVOKED"


def test_an_unknown_task_is_kept_for_the_grace_time_then_dead(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    start_worker(redis_server, prefix, environment={"UMBEL_UNKNOWN_TASK_GRACE": "2"}).wait_ready()
    app = producer(redis_server)
    result = app.send_task("nobody.knows")
    until(lambda: app.broker.info("default").delayed == 1, "it was given back with a delay")
    with pytest.raises(Exception, match=r"nobody\.knows"):
        result.get(timeout=30)
    (letter,) = until(lambda: app.broker.dead("default"), "the dead letter")
    assert letter.reason["reason"] == "UnknownTask"
    message = decode(letter.payload)
    assert (message.lost, message.suspect, message.attempt) == (0, 0, 0)


def test_an_unreadable_message_is_dead_not_lost(app: Umbel, redis_server: RedisServer, prefix: str) -> None:
    with redis_server.client() as client:
        client.rpush(f"{prefix}:{{default}}:r:5", b"\x01\x00\x05" + b"\x00" * 26 + b"garbage")
        client.zadd(f"{prefix}:{{default}}:bell", {"1": 0})
    (letter,) = until(lambda: app.broker.dead("default"), "the dead letter")
    assert letter.reason["reason"] == "Unreadable"


def test_higher_priorities_go_first(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    results: list[Any] = [app.send_task(S + "work", (number,), priority=number) for number in (1, 9, 5, 0)]
    worker = start_worker(redis_server, prefix, concurrency=1)
    for result in results:
        result.get(timeout=30)
    assert runs(worker.ledger) == ["9", "5", "1", "0"]


def test_two_queues_are_served(redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce) -> None:
    start_worker(redis_server, prefix, "--queues", "mail=3,reports").wait_ready()
    app = producer(redis_server)
    results = [app.send_task(S + "add", (n, 0), queue=("mail", "reports")[n % 2]) for n in range(200)]
    assert [result.get(timeout=30) for result in results] == list(range(200))
    assert (
        app.send_task(S + "too_long", queue="reports").get(timeout=30, propagate=False).__class__ is TimeLimitExceeded
    )


@pytest.mark.parametrize(
    "garbage", [b"", b"x", b"\xff" * 8, b"\xff" * 28], ids=["empty", "1 byte", "8 bytes", "28 bytes"]
)
def test_garbage_in_a_queue_hurts_no_neighbour(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, garbage: bytes
) -> None:
    app = producer(redis_server)
    results = [app.send_task(S + "add", (number, 0)) for number in range(5)]
    with redis_server.client() as client:
        client.lpush(f"{prefix}:{{default}}:r:5", garbage)
        client.rpush(f"{prefix}:{{default}}:r:9", garbage)
        client.zadd(f"{prefix}:{{default}}:eta", {garbage: 1})
    start_worker(redis_server, prefix)
    assert [result.get(timeout=30) for result in results] == list(range(5))
    letters = until(lambda: app.broker.dead("default"), "the dead letters")
    assert {letter.reason["reason"] for letter in letters} == {"Unreadable"}
