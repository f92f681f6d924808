"""Revocations hold whoever restarts, and whichever comes first, the task or its revocation."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, heard, runs, until

from umbel import Umbel
from umbel.errors import TaskRevokedError

S = "tests.sample_app."
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


def test_a_revocation_survives_the_workers(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    old = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    assert old.stop() == 0
    revoked = [app.send_task(S + "work", (number,)) for number in range(20)]
    kept = app.send_task(S + "work", (99,))
    app.control.revoke([result.id for result in revoked])
    # The first thing that a new child does is to fetch: it must know by then.
    worker = start_worker(redis_server, prefix, concurrency=2)
    assert kept.get(timeout=20) == 99
    for result in revoked:
        with pytest.raises(TaskRevokedError):
            result.get(timeout=20)
    assert runs(worker.ledger) == ["99"]


def test_a_revocation_may_come_before_the_task(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix).wait_ready()
    task_id = str(uuid.uuid4())
    app.control.revoke(task_id)
    until(lambda: task_id in str(app.control.inspect(timeout=20.0).revoked()), "the worker knows that it is revoked")
    heard(app)
    with pytest.raises(TaskRevokedError):
        app.send_task(S + "work", (1,), task_id=task_id).get(timeout=20)
    assert runs(worker.ledger) == []


def test_ten_thousand_are_revoked_at_once(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    with app.batch():
        revoked = [app.send_task(S + "work", (number,)) for number in range(300)]
        kept = app.send_task(S + "work", (999,))
    strangers = [str(uuid.uuid4()) for _ in range(9_700)]
    app.control.revoke([*strangers, *(result.id for result in revoked)])
    worker = start_worker(redis_server, prefix)
    assert kept.get(timeout=20) == 999
    assert {result.get(timeout=20, propagate=False).__class__ for result in revoked} == {TaskRevokedError}
    assert runs(worker.ledger) == ["999"]


def test_a_task_that_was_revoked_while_it_ran_is_not_retried(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix)
    result = app.send_task(S + "tries_for_ever")
    until(lambda: len(runs(worker.ledger)) >= 2, "it was retried")
    result.revoke()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=20)


def test_what_runs_ends_at_once_and_what_waits_never_begins(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    sent = [app.send_task(S + "hold", (number, str(tmp_path))) for number in range(3)]
    until(lambda: runs(worker.ledger, "began") == ["0"], "the first one runs")
    app.control.revoke([result.id for result in sent], terminate=True)
    for result in sent:
        with pytest.raises(TaskRevokedError):
            result.get(timeout=20)
    assert runs(worker.ledger, "began") == ["0"]


def test_a_result_revokes_its_task_with_a_signal(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    result = app.send_task(S + "hold", (1, str(tmp_path)))
    until(lambda: runs(worker.ledger, "began") == ["1"], "it runs")
    result.revoke(terminate=True, signal="SIGTERM")
    with pytest.raises(TaskRevokedError, match="terminated"):
        result.get(timeout=20)
    assert result.state == "REVOKED"
