"""What whoever comes from Celery types: options of workers, purge, shell, settings from a module, added commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli_project import Project, wait_until
from tests.redis_server import RedisServer


@pytest.fixture
def project(tmp_path: Path, redis_server: RedisServer, prefix: str) -> Iterator[Project]:
    project = Project(tmp_path, redis_server.url, prefix)
    yield project
    project.stop()


def test_a_worker_purges_first_and_leaves_out_queues(project: Project) -> None:
    old = project.run("-A", "tasks", "call", "tasks.add", "-a", "[1, 2]").stdout.strip()
    kept = project.run("call", "tasks.add", "-a", "[1, 2]", "--queue", "mail").stdout.strip()
    project.start_worker("-c", "1", "-Q", "default,mail", "-X", "mail", "--purge")
    wait_until(lambda: [worker["queues"] for worker in _workers(project)] == [["default"]])
    new = project.run("-A", "tasks", "call", "tasks.add", "-a", "[1, 2]").stdout.strip()
    assert project.run("result", new, "--wait", "60").stdout.strip() == "3"
    assert "was purged" in project.run("result", old, code=1).stdout
    project.run("result", kept, code=3)
    assert [worker["queues"] for worker in project.json("status")] == [["default"]]
    assert "worker.purged" in (project.folder / "worker.log").read_text()


def test_no_queue_is_left(project: Project) -> None:
    assert "no queue is left" in project.error("-A", "tasks", "worker", "-Q", "a,b", "-X", "b,a", code=2)
    assert "no queue is left" in project.error("purge", "-Q", "a", "-X", "a", "-f", code=2)


def test_limits_and_settings_of_the_command_line(project: Project) -> None:
    project.start_worker("-c", "1", "--time-limit", "90", "--soft-time-limit", "60", "result.expires=77")
    wait_until(lambda: project.try_run("-A", "tasks", "inspect", "ping").returncode == 0)
    (conf,) = project.json("inspect", "conf").values()
    assert (conf["task_time_limit"], conf["task_soft_time_limit"], conf["result_expires"]) == (90.0, 60.0, 77.0)


def test_settings_from_a_module(project: Project) -> None:
    (project.folder / "more.py").write_text("task_default_queue = 'mail'\n")
    settings = project.run("--config", "more", "-A", "tasks", "report").stdout
    assert "task_default_queue: 'mail'" in settings
    assert "task_default_queue: 'mail'" in project.run("-A", "tasks", "report", UMBEL_CONFIG_MODULE="more").stdout
    project.start("--config", "more", "-A", "tasks", "worker", "-c", "1")
    wait_until(lambda: [worker["queues"] for worker in _workers(project)] == [["mail"]])


def _workers(project: Project) -> list[dict[str, list[str]]]:
    return project.json("status") if project.try_run("status").returncode == 0 else []


def test_purge_leaves_out_queues(project: Project) -> None:
    for queue in ("a", "b"):
        project.run("call", "tasks.add", "--queue", queue)
    assert project.json("purge", "-Q", "a,b", "-X", "b", "-f") == {"purged": 1, "queues": {"a": 1}}


def test_the_shell_has_app_and_tasks(project: Project) -> None:
    assert (
        project.run("-A", "tasks", "shell", "-c", "print(app.main, add.name, add(2, 3))").stdout == "shop tasks.add 5\n"
    )
    assert "NameError" in project.try_run("-A", "tasks", "shell", "-T", "-c", "add").stderr
    assert "which app?" in project.error("shell", "-c", "1", code=2)


def test_the_shell_of_a_terminal(project: Project) -> None:
    done = project.run("-A", "tasks", "shell", "--python")  # its input is at its end, so it ends
    assert "umbel shell: app" in done.stderr


def test_another_distribution_adds_a_command(project: Project) -> None:
    (project.folder / "greeting.py").write_text(
        "import click\n\n@click.command()\n@click.argument('name')\ndef greet(name):\n    click.echo(f'hello {name}')\n"
    )
    info = project.folder / "greeting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[umbel.commands]\ngreet = greeting:greet\n")
    path = str(project.folder)
    assert project.run("greet", "ada", PYTHONPATH=path).stdout == "hello ada\n"
    assert "(from greeting)" in project.run("--help", PYTHONPATH=path).stdout


def test_lists_as_json(project: Project) -> None:
    questions = {entry["command"]: entry["help"] for entry in project.json("inspect", "--list")}
    assert questions["ping"].startswith("Ask who is there")
    assert {"revoke", "shutdown"} <= {entry["command"] for entry in project.json("control", "--list")}
