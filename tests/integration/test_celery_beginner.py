"""What a beginner with Celery writes, with Umbel in place of Celery: the same modules, calls and command lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli_project import Project, wait_until
from tests.redis_server import RedisServer

CONFIG = """
from umbel import crontab

task_serializer = "json"
accept_content = ["json"]
result_serializer = "json"
timezone = "Europe/Oslo"
enable_utc = True
task_track_started = True
task_routes = {"tasks.quick": {"queue": "fast"}}
beat_schedule = {
    "add-every-30-seconds": {"task": "tasks.add", "schedule": 30.0, "args": (16, 16)},
    "every-midnight": {"task": "tasks.add", "schedule": crontab(hour=0, minute=0), "args": (1, 2)},
}
"""

TASKS = """
import time

from umbel import Umbel
from umbel.errors import SoftTimeLimitExceeded

app = Umbel("tasks")
app.config_from_object("config")


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, max_retries=3)
def unreliable(self, failures):
    try:
        if self.request.retries < failures:
            raise ConnectionError("the service is away")
        return f"reached after {self.request.retries} retries"
    except ConnectionError as exc:
        raise self.retry(exc=exc, countdown=0.05)


@app.task(time_limit=1)
def too_long():
    time.sleep(60)


@app.task(soft_time_limit=0.3, time_limit=30)
def tidy():
    try:
        time.sleep(60)
    except SoftTimeLimitExceeded:
        return "tidied up"


@app.task
def quick():
    return "quick"
"""

CLIENT = """
import json

from tasks import add, quick, too_long, tidy, unreliable
from umbel.errors import TimeLimitExceeded, TimeoutError

said = {}
result = add.delay(4, 4)
said["add"] = result.get(timeout=30)
said["again"] = [result.ready(), result.successful(), result.status, add.AsyncResult(result.id).result]

said["unreliable"] = unreliable.delay(2).get(timeout=30)
try:
    unreliable.delay(9).get(timeout=30)
except ConnectionError as exc:
    said["hopeless"] = str(exc)

result = too_long.delay()
try:
    result.get(timeout=30)
except TimeLimitExceeded as exc:
    if result.status == "SUCCESS":
        said["status"] = "done"
    elif result.status == "FAILURE":
        said["status"] = "failed"
    else:
        said["status"] = "pending"
said["tidy"] = tidy.delay().get(timeout=30)
said["routed"] = quick.delay().get(timeout=30)

result = add.apply_async((2, 2), countdown=30)
try:
    result.get(timeout=0.1)
except TimeoutError:
    said["not yet"] = result.state
result.revoke()
print(json.dumps(said))
"""


@pytest.fixture
def project(tmp_path: Path, redis_server: RedisServer, prefix: str) -> Iterator[Project]:
    project = Project(tmp_path, redis_server.url, prefix)
    (tmp_path / "config.py").write_text(CONFIG)
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "client.py").write_text(CLIENT)
    yield project
    project.stop()


def test_the_first_steps(project: Project) -> None:
    # Given a worker, started as a tutorial says
    project.start_worker("--loglevel=INFO", "--concurrency=4")
    assert wait_until(lambda: sum(w["slots"] for w in _workers(project))) == 4
    # When a program calls its tasks
    said = project.python("client.py")
    # Then they do what they do with Celery
    assert json.loads(said) == {
        "add": 8,
        "again": [True, True, "SUCCESS", 8],
        "unreliable": "reached after 2 retries",
        "hopeless": "the service is away",
        "status": "failed",
        "tidy": "tidied up",
        "routed": "quick",
        "not yet": "PENDING",
    }
    # And the schedule is understood
    settings = project.json("report", "--all")["settings"]
    (schedule,) = [line for line in settings if line.startswith("beat_schedule")]
    assert "crontab" in schedule


def _workers(project: Project) -> list[dict[str, int]]:
    done = project.try_run("status", "--json")
    found: list[dict[str, int]] = json.loads(done.stdout)
    return found
