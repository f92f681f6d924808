"""What goes wrong in a user's first hour is told in a sentence that says what to do: as he meets it, by real processes."""

from __future__ import annotations

import functools
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli_project import Project, wait_until
from tests.ports import free_port
from tests.redis_server import RedisServer

from umbel import Umbel

GRACE = 8.0

TASKS = f"""
from umbel import Umbel

app = Umbel("shop", unknown_task_grace={GRACE})


@app.task
def add(x, y):
    return x + y


@app.task
def leaks():
    return {{"handle": object()}}
"""


@pytest.fixture
def project(tmp_path: Path, redis_server: RedisServer, prefix: str) -> Iterator[Project]:
    project = Project(tmp_path, redis_server.url, prefix)
    (tmp_path / "tasks.py").write_text(TASKS)
    yield project
    project.stop()


# Redis is down at the start


@pytest.mark.parametrize("command", [("worker",), ("beat",), ("status",), ("call", "tasks.add", "-a", "[1, 2]")])
def test_redis_is_down(project: Project, command: tuple[str, ...]) -> None:
    (project.folder / "tasks.py").write_text(TASKS + "\napp.conf.beat_schedule = {'a': {'task': 'b', 'schedule': 9}}\n")
    port = free_port()
    url = f"redis://:hunter2@localhost:{port}/0"
    said = project.error("-A", "tasks", *command, code=69, UMBEL_BROKER_URL=url, UMBEL_PUBLISH_TIMEOUT="0.5")
    pattern = (
        rf"Error: Redis at localhost:{port}/0 cannot be reached within [\d.]+ s "
        rf"\(Error 111 connecting to localhost:{port}\. Connection refused\.\): "
        r"check that it runs and that the broker URL is right"
    )
    assert re.fullmatch(pattern, said)


def test_redis_is_down_for_a_producer(project: Project) -> None:
    (project.folder / "client.py").write_text(
        "import time\n"
        "from umbel.errors import OperationalError, PublishUncertain\n"
        "from tasks import add, app\n"
        "app.conf.update(publish_timeout=0.5)\n"
        "began = time.monotonic()\n"
        "try:\n    add.delay(1, 2)\n"
        "except PublishUncertain:\n    raise SystemExit('nothing can have arrived')\n"
        "except OperationalError as error:\n    assert time.monotonic() - began < 30\n    print(error)\n"
    )
    port = free_port()
    project.environ["UMBEL_BROKER_URL"] = f"redis://localhost:{port}/0"
    said = project.python("client.py")
    assert f"Redis at localhost:{port}/0 cannot be reached within" in said
    assert "check that it runs and that the broker URL is right" in said


# The app's module does not import


@pytest.mark.parametrize("command", [("worker",), ("beat",), ("status",)])
def test_the_module_is_not_there(project: Project, command: tuple[str, ...]) -> None:
    said = project.error("-A", "shop.tasks", *command, code=2)
    assert said == (
        "Error: there is no module 'shop.tasks' (named by -A); the part 'shop' is not there. Looked in the current folder "
        f"{project.folder} and on the Python path; run from the folder that holds it, name the folder with --workdir or "
        "PYTHONPATH, or install the package."
    )


@pytest.mark.parametrize("command", [("worker",), ("beat",), ("status",)])
def test_the_module_fails_at_a_line(project: Project, command: tuple[str, ...]) -> None:
    (project.folder / "broken.py").write_text("from umbel import Umbel\n\napp = Umbel('x', task_tiem_limit=3)\n")
    said = project.error("-A", "broken", *command, code=2)
    assert said == (
        "Error: the module 'broken' (named by -A) was found, but importing it failed: ImproperlyConfigured: there is no "
        f"setting 'task_tiem_limit' in the code: did you mean 'task_time_limit'? at {project.folder}/broken.py, line 3 "
        "(app = Umbel('x', task_tiem_limit=3)). Fix it there."
    )


# A task name that no worker knows


def test_a_task_that_no_worker_knows(project: Project, redis_server: RedisServer, prefix: str) -> None:
    # Given a worker, and a task that was sent by a name which nobody has
    project.start_worker("-c", "1", UMBEL_LOG_FORMAT="json")
    sent = project.run("call", "tasks.subtract", "-a", "[3, 2]").stdout.strip()
    # When the worker meets it
    wait_until(lambda: "task.given_back" in (project.folder / "worker.log").read_text())
    # Then it is given back for the grace time, not dropped
    app = Umbel("looks", broker=redis_server.url, key_prefix=prefix, set_as_current=False)
    wait_until(
        lambda: (queue := app.broker.info("default")).ready + queue.delayed + queue.in_flight == 1
    )  # it comes and goes
    assert app.broker.info("default").dead == 0
    assert app.AsyncResult(sent).state == "PENDING"
    app.close()
    # And after that whoever waits is told, with what to do
    said = project.run("result", sent, "--wait", "60", code=1).stdout
    assert said.startswith("FAILURE: NotRegistered: no task is registered as 'tasks.subtract'")
    assert "Import the module that defines it in the app's module, or name it in include=[...]" in said
    assert said.rstrip().endswith(f"No worker knew it for {GRACE:g} s.")
    # And it is kept, with the reason
    (letter,) = project.json("dead", "list")
    assert (letter["id"], letter["args"], letter["reason"]["reason"]) == (sent, [3, 2], "UnknownTask")
    assert letter["reason"]["message"] == said.strip().removeprefix("FAILURE: NotRegistered: ")


# An argument that JSON cannot carry


@pytest.mark.parametrize(
    ("call", "where"),
    [
        ("add.delay(object(), 2)", "argument 1 ('x') is an object of type object"),
        ("add.delay(1, y=object())", "argument 'y' is an object of type object"),
        (
            "add.apply_async(([1, {'deep': object()}], 2))",
            "argument 1 ('x'), at [1]['deep'], is an object of type object",
        ),
        ("add.delay(open('tasks.py'), 2)", "argument 1 ('x') is an object of type _io.TextIOWrapper"),
        ("app.send_task('tasks.add', [object(), 2])", "argument 1 ('x') is an object of type object"),
    ],
)
def test_an_argument_that_json_cannot_carry(project: Project, call: str, where: str) -> None:
    (project.folder / "client.py").write_text(
        "import warnings\nwarnings.simplefilter('ignore', ResourceWarning)\n"
        f"from tasks import add, app\ntry:\n    {call}\nexcept TypeError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    said = project.python("client.py").strip()
    assert said == (
        f"EncodeError tasks.add: {where}, which JSON cannot carry; pass plain values (numbers, text, lists, dicts, dates, "
        "Decimal, UUID, bytes, sets), or teach the codec this type with umbel.serialization.register_type()"
    )
    # And nothing was sent
    assert project.json("queues") == [] or project.json("queues", "-Q", "default")[0]["ready"] == 0


def test_a_result_that_json_cannot_carry(project: Project) -> None:
    project.start_worker("-c", "1")
    sent = project.run("-A", "tasks", "call", "tasks.leaks").stdout.strip()
    said = project.run("result", sent, "--wait", "60", code=1).stdout
    assert said.startswith(
        "FAILURE: EncodeError: tasks.leaks returned a value that at ['handle'] is an object of type object"
    )


# Schedules and pools


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("crontab(hour=25)", "crontab(hour=25): 25 is not a number from 0 to 23"),
        ("crontab(minute='*/x')", "crontab(minute='*/x'): '*/x' is none of *, n, a-b, */step, a-b/step"),
        ("crontab(day_of_month=31, month_of_year=2)", "can never fire"),
        ("crontab(zone='Europe/Atlantis')", "there is no time zone 'Europe/Atlantis'"),
        ("'every morning'", "beat_schedule['odd']"),
        ("-5", "beat_schedule['odd']"),
    ],
)
def test_a_schedule_in_the_code_that_cannot_be_used(project: Project, schedule: str, words: str) -> None:
    (project.folder / "cron.py").write_text(
        "from umbel import Umbel, crontab\n"
        "app = Umbel('cron')\n"
        f"app.conf.beat_schedule = {{'odd': {{'task': 'tasks.add', 'schedule': {schedule}}}}}\n"
    )
    assert words in project.error("-A", "cron", "beat", code=2)


def test_a_time_zone_in_the_settings_that_is_none(project: Project) -> None:
    said = project.error("-A", "tasks", "status", code=2, UMBEL_TIMEZONE="Europe/Atlantis")
    assert said == (
        "Error: the setting timezone (IANA zone of schedules and of naive times) cannot be 'Europe/Atlantis', as the "
        "environment variable UMBEL_TIMEZONE says: give an IANA time zone like 'Europe/Oslo' or 'UTC'"
    )


def test_resources_that_cannot_work(project: Project) -> None:
    # Given a bad cron, an unknown zone, and a pool whose queue is missing, beside what is right
    queue: dict[str, object] = {
        "apiVersion": "umbel.dev/v1alpha1",
        "kind": "TaskQueue",
        "metadata": {"name": "mail"},
        "spec": {},
    }

    def schedule(name: str, **cron: str) -> dict[str, object]:
        spec = {
            "queueRef": {"name": "mail"},
            "task": {"name": "tasks.add", "args": [1, 2]},
            "trigger": {"type": "Cron", "cron": cron},
        }
        return queue | {"kind": "Schedule", "metadata": {"name": name}, "spec": spec}

    pool = {"app": "tasks", "image": "registry.invalid/shop:1", "queues": [{"name": "mial"}]}
    resources = [
        queue,
        schedule("hour", expression="0 25 * * *"),
        schedule("zone", expression="0 3 * * *", timeZone="Europe/Atlantis"),
        schedule("fine", expression="0 3 * * *", timeZone="Europe/Oslo"),
        queue | {"kind": "WorkerPool", "metadata": {"name": "mailers"}, "spec": pool},
    ]
    (project.folder / "shop.yaml").write_text("\n---\n".join(map(json.dumps, resources)))
    # When they are run
    running = project.start("up", "-f", "shop.yaml")

    # Then each says what to correct, and the rest goes on
    def said(text: str) -> bool:
        return text in (project.folder / "worker.log").read_text()

    for text in (
        "Schedule hour: InvalidSchedule: spec.trigger: cannot use '25' as the hour of a cron expression: 25 is not in 0 to 23",
        "Schedule zone: UnknownTimeZone: spec.trigger.cron.timeZone: there is no time zone 'Europe/Atlantis'",
        'WorkerPool mailers: QueueNotFound: no TaskQueue "mial" in namespace "default": create it or correct spec.queues',
        "Schedule fine is ready",
    ):
        wait_until(functools.partial(said, text), 60)
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 0
    assert not said("Traceback")
