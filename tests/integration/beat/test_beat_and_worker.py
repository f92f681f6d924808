"""beat, a worker and Redis together: what the schedules learn of their runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.beat.conftest import StartBeat
from tests.integration.beat.mounted import MountedConfig, schedule
from tests.integration.beat.process import eventually
from tests.redis_server import RedisServer

APP = """
import time
from umbel import Umbel

app = Umbel("shop")

@app.task
def fine(n): return n

@app.task
def broken(n): raise ValueError("as intended")

@app.task(acks_late=False)
def early(n): return n

@app.task
def slow(n): time.sleep(2.5)

@app.task(bind=True, max_retries=None, default_retry_delay=0)
def again(self, n): raise self.retry()

@app.task(time_limit=0.5)
def endless(n): time.sleep(60)
"""


@pytest.fixture
def worker(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[Path]:
    """A worker of two children for the queue ``mail``; returns its log."""
    (tmp_path / "shop.py").write_text(APP)
    log = tmp_path / "worker.log"
    env = {**os.environ, "UMBEL_BROKER_URL": redis_server.url, "UMBEL_KEY_PREFIX": prefix, "UMBEL_POOL": "mailers"}
    command = [sys.executable, "-m", "umbel.cli.main", "-A", "shop", "worker", "-Q", "mail", "-c", "2"]
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env, cwd=tmp_path)
    yield log
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    finally:
        process.kill()
        process.wait(10)


def task(name: str) -> dict[str, Any]:
    return {"name": f"shop.{name}", "args": [1]}


def test_schedules_learn_how_their_runs_end(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, worker: Path
) -> None:
    names = ["fine", "broken", "early", "endless"]
    bodies = [schedule(name, task=task(name)) for name in names]
    bodies[-1]["stop"] = {
        "maxRuns": 2
    }  # each costs a child: more of them, and the queue grows faster than it is worked off
    names.append("again")
    bodies.append(schedule("again", task={**task("again"), "maxRetries": 1}))
    pool = {"name": "mailers", "uid": "p", "queues": ["mail"], "slots": 2}
    mounted.write({"schedules": bodies, "pools": [pool]})
    beat = start_beat(redis_server)

    def state(name: str) -> dict[str, Any]:
        found: dict[str, Any] = beat.status().get("schedules", {}).get(name, {})
        return found

    eventually(lambda: state("fine").get("lastSuccessfulTime"), 30)
    eventually(lambda: state("broken").get("consecutiveFailures", 0) >= 2, 30)
    eventually(lambda: state("endless").get("consecutiveFailures", 0) >= 1, 30)
    eventually(lambda: state("early").get("lastSuccessfulTime"), 30)
    eventually(lambda: state("again").get("consecutiveFailures", 0) >= 1, 30)
    assert state("broken")["lastSuccessfulTime"] is None
    assert state("fine")["consecutiveFailures"] == 0
    eventually(lambda: beat.status()["pools"]["mailers"]["workers"] == 1)
    eventually(lambda: beat.status()["pools"]["mailers"]["slots"] == 2)
    mounted.write({"schedules": [{**body, "suspend": True} for body in bodies]})
    eventually(lambda: all(state(name)["activeRuns"] == 0 for name in names), 60)


def test_forbid_lets_one_run_at_a_time_through(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, worker: Path
) -> None:
    mounted.write({"schedules": [schedule("s1", task=task("slow"), concurrencyPolicy="Forbid")]})
    beat = start_beat(redis_server)
    counts = []

    def two_ended() -> bool:
        found = beat.status().get("schedules", {}).get("s1", {})
        counts.append(found.get("activeRuns", 0))
        return beat.text().count("schedule.enqueued") >= 3

    eventually(two_ended, 30)
    assert max(counts) == 1
    assert "schedule.skipped_forbid" in beat.text()
