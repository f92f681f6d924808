"""The first steps of somebody who knows Celery, one test each: a worker, a beat and a client as real processes."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli_project import Project, wait_until
from tests.ports import free_port
from tests.redis_server import RedisServer

CONFIG = """
from umbel import crontab

result_expires = 3600
task_default_queue = "beginners"
beat_schedule = {
    "every-30-seconds": {"task": "tasks.add", "schedule": 30.0, "args": (16, 16)},
    "at-midnight": {"task": "tasks.add", "schedule": crontab(hour=0, minute=0), "args": (1, 2)},
}
"""

TASKS = """
import os
import time

from umbel import Umbel

app = Umbel("tasks")
app.config_from_object("config")


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, max_retries=3)
def call_service(self, fails):
    try:
        if self.request.retries < fails:
            raise ConnectionError(f"no answer to call {self.request.retries}")
        return self.request.retries
    except ConnectionError as exc:
        raise self.retry(exc=exc, countdown=0.2)


@app.task(time_limit=30)
def export():
    time.sleep(120)


@app.task
def divide(x, y):
    return x / y


@app.task
def wait_for(folder, name):
    open(os.path.join(folder, name + ".running"), "w").close()
    while not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.02)
    return name
"""


class Beginner(Project):
    """A project with a worker of four slots and a beat; ``export`` is the id of a task that runs into its limit."""

    def __init__(self, folder: Path, url: str, prefix: str) -> None:
        super().__init__(folder, url, prefix)
        (folder / "config.py").write_text(CONFIG)
        (folder / "tasks.py").write_text(TASKS)
        self.port = free_port()
        self.export = ""
        self.began = 0.0

    def client(self, program: str) -> Any:
        """Run Python that imports the tasks; return the JSON that it prints."""
        (self.folder / "client.py").write_text(f"import json\nfrom tasks import *\n{program}\n")
        return json.loads(self.python("client.py"))

    def beat_status(self) -> dict[str, Any]:
        """Return what beat says of its schedules."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/status", timeout=20) as answer:
                found: dict[str, Any] = json.load(answer)["schedules"]
        except OSError:
            return {}
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, shared_redis: RedisServer) -> Iterator[Beginner]:
    project = Beginner(tmp_path_factory.mktemp("beginner"), shared_redis.url, f"test-{uuid.uuid4().hex[:12]}")
    try:
        project.start_worker("--loglevel=INFO", "--concurrency=4")
        project.start("-A", "tasks", "beat", "--port", str(project.port))
        wait_until(lambda: json.loads(project.try_run("status", "--json").stdout or "[]"))
        # What takes half a minute begins first, and is looked at by its test.
        project.began = time.monotonic()
        project.export = project.run("-A", "tasks", "call", "tasks.export").stdout.strip()
        yield project
    finally:
        project.stop()


def test_add_with_delay_and_get(project: Beginner) -> None:
    assert project.client("print(json.dumps(add.delay(4, 4).get(timeout=60)))") == 8


def test_retry_with_countdown_and_max_retries(project: Beginner) -> None:
    # Given a service that answers at the third call, and one that never does
    # When both are called by tasks with three retries
    said = project.client(
        """
good, bad = call_service.delay(2), call_service.delay(99)
said = {"good": good.get(timeout=60)}
try:
    bad.get(timeout=60)
except ConnectionError as exc:
    said["bad"] = str(exc)
print(json.dumps(said))"""
    )
    # Then one returns after two retries, the other fails with the exception of its last try
    assert said == {"good": 2, "bad": "no answer to call 3"}


@pytest.mark.parametrize(
    ("call", "expected"),
    [("divide.delay(8, 2)", ["done", 4.0]), ("divide.delay(8, 0)", ["failed", "ZeroDivisionError"])],
)
def test_the_check_of_three_states(project: Beginner, call: str, expected: list[object]) -> None:
    said = project.client(
        f"""
import time

def look(result):
    if result.status == "PENDING":
        return "pending", None
    elif result.status == "SUCCESS":
        return "done", result.result
    elif result.status == "FAILURE":
        return "failed", type(result.result).__name__

waiting = divide.apply_async((8, 2), countdown=60)
result = {call}
until = time.monotonic() + 60
while look(result)[0] == "pending" and time.monotonic() < until:
    time.sleep(0.02)
print(json.dumps([look(waiting)[0], *look(result)]))
waiting.revoke()"""
    )
    assert said == ["pending", *expected]


def test_a_time_limit_of_30_seconds_ends_a_longer_task(project: Beginner) -> None:
    # Given a task of two minutes with time_limit=30, under way since the worker has started
    shown = project.run("-A", "tasks", "result", project.export, "--wait", "80", code=1).stdout
    took = time.monotonic() - project.began
    # Then it has failed for that reason, not before its time
    assert shown.strip() == "FAILURE: TimeLimitExceeded: the time limit of 30 s is over: the task's process was killed"
    assert took >= 29
    # And the worker has four slots again
    wait_until(
        lambda: len(project.json("inspect", "stats")[project.json("status")[0]["name"]]["pool"]["processes"]) == 4
    )


def test_config_from_object(project: Beginner) -> None:
    settings = project.json("report")["settings"]
    assert "result_expires: 3600.0" in settings
    assert "task_default_queue: 'beginners'" in settings
    (worker,) = project.json("status")
    assert worker["queues"] == ["beginners"]


def test_a_schedule_every_30_seconds_and_one_at_midnight(project: Beginner) -> None:
    # Given the beat of the app
    schedules = wait_until(lambda: len(found := project.beat_status()) == 2 and found)
    due = {uid: datetime.fromisoformat(found["nextScheduleTime"]) for uid, found in schedules.items()}
    (midnight,) = [uid for uid, moment in due.items() if (moment.hour, moment.minute, moment.second) == (0, 0, 0)]
    (often,) = set(due) - {midnight}
    # When its 30 seconds are over
    sent = wait_until(lambda: (found := project.beat_status().get(often, {})).get("lastTaskID") and found, 90)
    # Then the task was sent, ran, and the next is due 30 seconds later
    assert project.run("result", sent["lastTaskID"], "--wait", "60").stdout == "32\n"
    last, following = (datetime.fromisoformat(sent[name]) for name in ("lastScheduleTime", "nextScheduleTime"))
    assert (following - last).total_seconds() == pytest.approx(30, abs=0.01)
    other = wait_until(lambda: project.beat_status().get(midnight))
    assert other["lastTaskID"] is None or last.hour == 0


def test_a_worker_of_four_runs_four_at_once_and_status_shows_it(project: Beginner, tmp_path: Path) -> None:
    # Given as many tasks as there are slots, which end together (one slot may still run into its time limit)
    for number in range(4):
        project.run("-A", "tasks", "call", "tasks.wait_for", "--args", json.dumps([str(tmp_path), str(number)]))
    try:
        # Then they run at once
        wait_until(lambda: len(list(tmp_path.glob("*.running"))) == 4, 90)
        # And status says so
        wait_until(lambda: project.json("status")[0]["busy"] == 4)
        text = project.run("-A", "tasks", "status").stdout
        assert text.splitlines()[1].split()[1:4] == ["running", "4", "4"]
        assert "1 worker online." in text
    finally:
        (tmp_path / "go").touch()


def test_control_revoke(project: Beginner) -> None:
    # Given a task that waits for its time
    waiting = project.run("-A", "tasks", "call", "tasks.add", "--args", "[1, 1]", "--countdown", "8").stdout.strip()
    # When it is revoked by its id
    told = project.run("-A", "tasks", "control", "revoke", waiting).stdout
    assert told.startswith("Revoked 1 task; 1 worker")
    # Then it does not run
    shown = project.run("-A", "tasks", "result", waiting, "--wait", "60", code=1).stdout
    assert shown.strip() == "REVOKED: TaskRevokedError: revoked"


def test_control_shutdown(tmp_path: Path, redis_server: RedisServer, prefix: str) -> None:
    project = Beginner(tmp_path, redis_server.url, prefix)
    try:
        # Given a worker that runs a task
        worker = project.start_worker("--concurrency=4")
        running = project.run("-A", "tasks", "call", "tasks.wait_for", "--args", json.dumps([str(tmp_path), "x"]))
        wait_until((tmp_path / "x.running").exists)
        # When it is told to shut down
        assert project.run("-A", "tasks", "control", "shutdown").stdout.endswith(": OK, shutting down\n")
        # Then it finishes the task first
        assert worker.poll() is None
        (tmp_path / "go").touch()
        assert worker.wait(60) == 0
        assert project.run("result", running.stdout.strip()).stdout == "x\n"
        assert "no worker is registered" in project.error("status", code=69)
    finally:
        project.stop()
