"""A Redis whose clock is an hour off, seen from here: everybody else's clock is. Delays, expiry, revocation and life go on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.redis_server import RedisServer
from tests.workers import ROOT, Worker, runs, until

from umbel import Umbel
from umbel.errors import TaskRevokedError

S = "tests.sample_app."
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


def test_delays_expiry_and_control_do_not_compare_clocks(
    redis_server: RedisServer,
    prefix: str,
    start_worker: Start,
    producer: Produce,
    wrong_clock: dict[str, str],
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix, environment=wrong_clock).wait_ready()
    told = datetime.fromisoformat(worker.events("worker.started")[0]["time"])
    assert abs((told - datetime.now(UTC)).total_seconds()) > 3000, "its clock is another one"
    began = time.monotonic()
    delayed = app.send_task(S + "add", (1, 1), countdown=0.5, expires=30)
    assert delayed.get(timeout=30) == 2
    assert 0.5 <= time.monotonic() - began < 60.0
    assert app.send_task(S + "fails_twice").get(timeout=30) == 2

    def command(*words: str) -> str:
        given = ["-A", "tests.sample_app:app", "-b", redis_server.url, *words]
        environment = {**os.environ, **wrong_clock, "UMBEL_BROKER_URL": redis_server.url, "UMBEL_KEY_PREFIX": prefix}
        done = subprocess.run(
            [sys.executable, "-m", "umbel", *given],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert worker.hostname in command("status")
    revoked = app.send_task(S + "work", (1,), countdown=6.0)
    command("control", "revoke", revoked.id)
    # A worker that did not hear it reads it when it starts.
    assert worker.stop() == 0
    start_worker(redis_server, prefix, environment=wrong_clock).wait_ready()
    with pytest.raises(TaskRevokedError):
        revoked.get(timeout=30)
    assert runs(worker.ledger) == []
    assert app.send_task(S + "add", (1, 1)).get(timeout=30) == 2


def test_a_task_that_has_expired_by_the_clock_of_redis_does_not_run(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, wrong_clock: dict[str, str]
) -> None:
    app = producer(redis_server)
    late = app.send_task(S + "work", (1,), expires=0.2)
    in_time = app.send_task(S + "work", (2,), expires=60)
    until(lambda: app.broker.info("default").oldest_age > 0.5, "the first one has expired")
    worker = start_worker(redis_server, prefix, environment=wrong_clock)
    with pytest.raises(TaskRevokedError, match="expired"):
        late.get(timeout=20)
    assert in_time.get(timeout=20) == 2
    assert runs(worker.ledger) == ["2"]
