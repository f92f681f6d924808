"""What goes wrong on the command line is told in one sentence with the remedy, and by the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.cli_project import Project
from tests.ports import free_port
from tests.redis_server import RedisServer


@pytest.fixture
def project(tmp_path: Path, redis_server: RedisServer, prefix: str) -> Project:
    return Project(tmp_path, redis_server.url, prefix)


@pytest.mark.parametrize("command", [("worker",), ("status",), ("call", "tasks.add"), ("purge", "-f")])
def test_a_module_that_is_not_there(project: Project, command: tuple[str, ...]) -> None:
    message = project.error("-A", "taskz", *command, code=2)
    assert "there is no module 'taskz'" in message
    assert "run from the folder that holds it" in message


@pytest.mark.parametrize("command", [("worker",), ("status",)])
def test_a_module_that_does_not_import(project: Project, command: tuple[str, ...]) -> None:
    (project.folder / "broken.py").write_text("import umbel\nimport a_library_that_is_not_there\n")
    message = project.error("-A", "broken", *command, code=2)
    assert "the module 'broken' (named by -A) was found, but importing it failed" in message
    assert "broken.py, line 2" in message
    assert "Install what provides 'a_library_that_is_not_there'" in message


@pytest.mark.parametrize("command", [("worker",), ("status",), ("queues",), ("call", "tasks.add", "-a", "[1]")])
def test_a_redis_that_does_not_answer(project: Project, command: tuple[str, ...]) -> None:
    port = free_port()
    url = f"redis://user:hunter2@127.0.0.1:{port}/0"
    message = project.error("-A", "tasks", *command, code=69, UMBEL_BROKER_URL=url, UMBEL_PUBLISH_TIMEOUT="0.5")
    assert f"127.0.0.1:{port}" in message
    assert "check that it runs" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("url", ["redsi://localhost", "amqp://localhost"])
def test_a_broker_that_is_none(project: Project, url: str) -> None:
    message = project.error("-b", url, "queues", code=2)
    assert "which Umbel cannot use" in message
    assert "redis://" in message.partition("cannot use")[2]


def test_nobody_said_which_broker(project: Project) -> None:
    project.environ.pop("UMBEL_BROKER_URL")
    assert "give the app (umbel -A module[:app]" in project.error("status", code=2)
    for command in ("status", "worker"):
        assert "no broker is set: give Umbel(broker=" in project.error("-A", "tasks", command, code=2)


def test_a_worker_needs_an_app(project: Project) -> None:
    assert "which app? Write umbel -A module[:app] worker" in project.error("worker", code=2)


def test_a_task_that_nobody_knows(project: Project) -> None:
    message = project.error("-A", "tasks", "call", "tasks.ad", "-a", "[1]", code=1)
    assert "no task is registered as 'tasks.ad': did you mean 'tasks.add'?" in message
    assert project.run("-A", "tasks", "call", "tasks.ad", "--force").stdout.strip()
    # Without the app nobody can tell
    assert project.run("call", "tasks.ad").stdout.strip()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("call", "tasks.add"), "cannot be called like this: missing a required argument: 'x'"),
        (("call", "tasks.add", "-a", "[1"), "'[1' is not JSON"),
        (("call", "tasks.add", "-a", '{"x": 1}'), "write for example '[1, 2]'"),
        (("call", "tasks.add", "-a", "[1]", "--eta", "soon"), "'soon' is no moment; write for example"),
        (("worker", "-Q", "a,,b"), "give names separated by commas, with weights where wanted: mail=2,reports"),
        (("worker", "-Q", "a=x"), "the weight of 'a' is 'x'"),
        (("worker", "-Q", "a,a"), "the queue 'a' is named twice"),
        (("worker", "-l", "LOUD"), "'LOUD' is not one of"),
        (("worker", "-c", "0"), "0 is not in the range"),
        (("worker", "-P", "gevent"), "there is no executor 'gevent'"),
        (("stauts",), "There is no command 'stauts'; did you mean 'status'?"),
        (("purge",), "there is no terminal to ask at: give --force"),
    ],
)
def test_wrong_usage(project: Project, args: tuple[str, ...], message: str) -> None:
    assert message in project.error("-A", "tasks", *args, code=2)


def test_nobody_is_there(project: Project) -> None:
    for command in (("status",), ("inspect", "ping"), ("inspect", "active"), ("control", "shutdown")):
        assert "no worker is registered with this broker. Start one" in project.error("-A", "tasks", *command, code=69)
    assert "no worker is called w9" in project.error("status", "-d", "w9", code=69)


def test_a_queue_that_nobody_knows(project: Project) -> None:
    assert "'mail' is neither" in project.run("call", "x", "--queue", "mail").stderr
    assert not project.run("call", "x", "--queue", "mail").stderr
    done = project.run("-A", "tasks", "queues", "-Q", "mial")
    assert (
        "Warning: the queue 'mial' is neither configured nor known to the broker (known: default, mail)" in done.stderr
    )
    message = project.error("-A", "tasks", "worker", "-Q", "mial", "--strict-queues", code=1)
    assert "'mial'" in message


def test_a_setting_that_does_not_exist(project: Project) -> None:
    (project.folder / "tasks.py").write_text("from umbel import Umbel\napp = Umbel('x', task_time_limt=3)\n")
    message = project.error("-A", "tasks", "status", code=2)
    assert "did you mean 'task_time_limit'?" in message


def test_workdir(project: Project, tmp_path: Path) -> None:
    project.folder = tmp_path.parent
    assert project.run("--workdir", str(tmp_path), "-A", "tasks", "queues").returncode == 0
    assert "there is no folder" in project.error("--workdir", str(tmp_path / "no"), "-A", "tasks", "queues", code=2)


def test_the_package_is_a_program_too(project: Project) -> None:
    assert "the version" in project.run("--help").stdout
    assert project.python("-m", "umbel", "--version").startswith("umbel, version ")
