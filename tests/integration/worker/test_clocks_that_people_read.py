"""Redis's clock is an hour off, seen from here: everybody else's is. What people are shown is by their own clocks, and ages are
by one clock alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel
from umbel.errors import TaskRevokedError

S = "tests.sample_app."


def test_workers_are_told_of_by_one_clock(
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    wrong_clock: dict[str, str],
    tmp_path: Path,
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix, environment=wrong_clock).wait_ready()
    running = app.send_task(S + "hold", (1, str(tmp_path)))
    until(lambda: (tmp_path / "running-1").exists(), "it runs")
    delayed = app.send_task(S + "add", (1, 1), countdown=600)
    name = worker.hostname

    def umbel(*words: str) -> Any:
        given = {**os.environ, **worker.environment, **wrong_clock}
        done = subprocess.run(
            [sys.executable, "-m", "umbel", *words, "--json"], env=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    # Then a worker that lives is running, and its heartbeat is seconds old
    status = until(lambda: [told for told in umbel("status") if told["busy"]], "a heartbeat that tells of the task")[0]
    assert status["state"] == "running"
    assert status["last_beat_seconds"] < 8
    # And tasks have begun, and will begin, when our clock says
    (active,) = umbel("inspect", "active", "-t", "20")[name]
    assert active["id"] == running.id
    assert abs(active["time_start"] - time.time()) < 60
    assert 0 <= active["runtime"] < 60
    (scheduled,) = umbel("inspect", "scheduled", "-t", "20")[name]
    assert scheduled["request"]["id"] == delayed.id
    assert 500 < datetime.fromisoformat(scheduled["eta"]).timestamp() - time.time() <= 601
    # And what is revoked is known
    umbel("control", "revoke", delayed.id, "-t", "20")
    assert delayed.id in umbel("inspect", "revoked", "-t", "20")[name]
    (tmp_path / "go").touch()
    assert running.get(timeout=20) == 1


def test_results_and_requests_are_dated_by_our_clock(
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    wrong_clock: dict[str, str],
) -> None:
    app = producer(redis_server)
    start_worker(redis_server, prefix, environment=wrong_clock).wait_ready()
    begun = time.monotonic()
    now = time.time()
    # An eta by our clock is kept, though Redis's says something else
    eta = datetime.fromtimestamp(now, UTC) + timedelta(seconds=1)
    result = app.send_task(S + "times", eta=eta, expires=eta + timedelta(seconds=300))
    seen = result.get(timeout=20)
    assert time.monotonic() - begun >= 0.9
    assert abs(seen["eta"] - eta.timestamp()) < 20
    assert abs(seen["expires"] - eta.timestamp() - 300) < 20
    assert result.date_done is not None
    assert abs(result.date_done.timestamp() - time.time()) < 60
    failed = app.send_task(S + "add", ("a", 1))
    failed.get(timeout=20, propagate=False)
    assert failed.date_done is not None
    assert abs(failed.date_done.timestamp() - time.time()) < 60
    # What has expired by our clock does not run
    late = app.send_task(S + "add", (1, 1), expires=datetime.fromtimestamp(now - 60, UTC))
    with pytest.raises(TaskRevokedError, match="expired"):
        late.get(timeout=20)
