"""The command line at work: a real worker, a real Redis, each command as a process of its own."""

from __future__ import annotations

import json
import signal
import uuid
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


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, shared_redis: RedisServer) -> Iterator[Project]:
    """A project with a worker of two slots, one of which runs a task that waits for a file."""
    project = Project(tmp_path_factory.mktemp("busy"), shared_redis.url, f"test-{uuid.uuid4().hex[:12]}")
    try:
        project.start_worker("-c", "2", "-n", "w1@%n", "-Q", "default=2,mail")
        wait_until(lambda: _slots(project) == 2)
        path = project.folder / "go"
        project.run("-A", "tasks", "call", "tasks.wait_for", "-a", f'["{path}"]')
        wait_until((project.folder / "go.started").exists)
        wait_until(lambda: project.json("status")[0]["busy"] == 1)
        yield project
        path.touch()
    finally:
        project.stop()


def _slots(project: Project) -> int:
    return sum(worker["slots"] for worker in json.loads(project.try_run("status", "--json").stdout))


def test_status(busy: Project) -> None:
    (worker,) = wait_until(
        lambda: [one for one in busy.json("status") if one["busy"] == 1]
    )  # it may be told late of more
    assert worker["name"].startswith("w1@")
    assert (worker["state"], worker["slots"], worker["busy"], worker["queues"]) == (
        "running",
        2,
        1,
        ["default", "mail"],
    )
    text = busy.run("-A", "tasks", "status").stdout
    assert "1 worker online." in text
    assert "1 worker online." not in busy.run("-q", "status").stdout


def test_inspect(busy: Project) -> None:
    name = busy.json("status")[0]["name"]
    assert busy.json("inspect", "ping") == {name: {"ok": "pong"}}
    assert f"{name}: OK, pong" in busy.run("inspect", "ping").stdout
    (task,) = busy.json("inspect", "active")[name]
    assert (task["name"], task["queue"], task["args"]) == ("tasks.wait_for", "default", [str(busy.folder / "go")])
    assert task["time_start"] > 1_600_000_000
    assert "tasks.wait_for" in busy.run("inspect", "active", "-d", name).stdout
    assert busy.json("inspect", "reserved") == {name: []}
    assert busy.run("inspect", "reserved").stdout == "No task is reserved.\n"
    stats = busy.json("inspect", "stats")[name]
    assert (stats["slots"], stats["busy"], len(stats["pool"]["processes"])) == (2, 1, 2)
    assert "slots: 2" in busy.run("inspect", "stats").stdout


def test_inspect_what_the_app_is(busy: Project) -> None:
    (name,) = busy.json("inspect", "ping")
    assert {"tasks.add", "tasks.fail", "tasks.wait_for"} <= set(busy.json("inspect", "registered")[name])
    assert "tasks.add [max_retries=3]" in busy.run("inspect", "registered", "max_retries").stdout
    assert busy.json("inspect", "conf")[name]["key_prefix"] == busy.environ["UMBEL_KEY_PREFIX"]
    assert busy.json("inspect", "conf", "--all")[name]["task_default_queue"] == "default"
    assert "key_prefix: test-" in busy.run("inspect", "conf").stdout
    report = busy.run("inspect", "report").stdout
    assert "tasks.wait_for" in report
    assert "server: " in report


def test_inspect_queues_and_tasks(busy: Project) -> None:
    (name,) = busy.json("inspect", "ping")
    queues = {queue["name"]: queue["weight"] for queue in busy.json("inspect", "active_queues")[name]}
    assert queues == {"default": 2, "mail": 1}
    (running,) = busy.json("inspect", "active")[name]
    assert busy.json("inspect", "query_task", running["id"], "unknown")[name][running["id"]][0] == "active"
    assert running["id"] in busy.run("inspect", "query_task", running["id"]).stdout
    later = busy.run("call", "tasks.add", "-a", "[7]", "--queue", "mail", "--countdown", "500").stdout.strip()
    (scheduled,) = busy.json("inspect", "scheduled")[name]
    assert (scheduled["request"]["id"], scheduled["request"]["args"]) == (later, [7])
    assert later in busy.run("inspect", "scheduled").stdout
    busy.run("control", "revoke", later)
    assert later in busy.json("inspect", "revoked")[name]
    busy.run("purge", "-f", "-Q", "mail")


def test_inspect_asks_those_who_are_named(busy: Project) -> None:
    (name,) = busy.json("inspect", "ping")
    assert busy.json("inspect", "-p", "w1@*", "ping") == {name: {"ok": "pong"}}
    assert "no worker is called nobody; umbel status" in busy.error(
        "inspect", "ping", "-d", "nobody", "-t", "0.2", code=69
    )
    assert "like x*" in busy.error("inspect", "ping", "-p", "x*", code=69)


def test_call_and_result(busy: Project) -> None:
    done = busy.run("-A", "tasks", "call", "tasks.add", "-a", "[20]", "-k", '{"y": 3}').stdout.strip()
    assert busy.run("-A", "tasks", "result", done, "--wait", "60").stdout == "23\n"
    assert busy.json("result", done)["result"] == 23
    failed = busy.json("call", "tasks.fail", "-a", '["no luck"]')["id"]
    shown = busy.run("-A", "tasks", "result", failed, "--wait", "60", "--traceback", code=1).stdout
    assert shown.splitlines()[-1] == "FAILURE: ValueError: no luck"
    assert "raise ValueError(text)" in shown
    told = busy.json("result", failed, code=1)
    assert (told["state"], told["result"]) == ("FAILURE", {"type": "ValueError", "message": "no luck"})
    assert busy.run("result", "unknown", code=3).stdout == "PENDING\n"


def test_queues_and_purge(busy: Project) -> None:
    for _ in range(3):
        busy.run("call", "x", "--queue", "nobody", "--countdown", "60")
    busy.run("call", "x", "--queue", "nobody", "--priority", "9", "--expires", "2100-01-01T00:00:00+00:00")
    (queue,) = busy.json("queues", "-Q", "nobody")
    assert (queue["name"], queue["ready"], queue["delayed"]) == ("nobody", 1, 3)
    names = {queue["name"] for queue in busy.json("queues")}
    assert {"default", "mail", "nobody"} <= names
    header, *_ = busy.run("queues").stdout.splitlines()
    assert header.split() == ["QUEUE", "READY", "DELAYED", "PARKED", "RUNNING", "DEAD", "OLDEST", "STATE"]
    expected = ["default", "0", "0", "0", "1", "0", "-", "open"]
    wait_until(lambda: expected in [line.split() for line in busy.run("queues").stdout.splitlines()])
    assert busy.json("purge", "-f", "-Q", "nobody") == {"purged": 4, "queues": {"nobody": 4}}
    assert busy.run("purge", "-f", "-Q", "nobody").stdout == "Dropped 0 tasks from nobody.\n"


def test_queues_of_single_workers_are_listed_while_something_is_in_them(busy: Project) -> None:
    busy.run("call", "x", "--queue", "w@gone.dq2", "--countdown", "60")
    assert "w@gone.dq2" in {queue["name"] for queue in busy.json("queues")}
    assert busy.json("purge", "-f", "-Q", "w@gone.dq2")["purged"] == 1
    assert "w@gone.dq2" not in {queue["name"] for queue in busy.json("queues")}
    assert [queue["name"] for queue in busy.json("queues", "-Q", "w@gone.dq2")] == ["w@gone.dq2"]


def test_report(busy: Project) -> None:
    found = busy.json("report")
    assert found["broker"]["version"]
    assert found["tasks"] == ["tasks.add", "tasks.fail", "tasks.refuse", "tasks.refuse_unless", "tasks.wait_for"]
    text = busy.run("-A", "tasks", "report").stdout
    assert "tasks.refuse" in text
    assert busy.run("report").returncode == 0


def test_dead_letters(project: Project) -> None:
    project.start_worker("-c", "1", UMBEL_UNKNOWN_TASK_GRACE="0")
    unknown = project.run("-A", "tasks", "call", "tasks.gone", "--force", "-a", "[1]").stdout.strip()
    refused = project.run("-A", "tasks", "call", "tasks.refuse").stdout.strip()
    letters = wait_until(lambda: len(found := project.json("dead", "list")) == 2 and found)
    reasons = {letter["id"]: letter["reason"]["reason"] for letter in letters}
    assert reasons == {unknown: "UnknownTask", refused: "Rejected"}
    text = project.run("dead", "list").stdout
    assert "tasks.gone" in text
    assert "UnknownTask" in text
    shown = project.run("dead", "show", unknown).stdout
    assert "no task is registered as 'tasks.gone'" in shown
    assert project.json("dead", "show", refused)["reason"]["message"] == "not today"
    assert "no dead letter has the id nope" in project.error("dead", "show", "nope", code=1)
    # Nobody waits for ever for a dead task
    assert "NotRegistered" in project.run("result", unknown, "--wait", "60", code=1).stdout


def test_dead_letters_are_sent_again_and_dropped(project: Project) -> None:
    project.start_worker("-c", "1", UMBEL_UNKNOWN_TASK_GRACE="0")
    first, second = (
        project.run("-A", "tasks", "call", "tasks.refuse_unless", "-a", '["go"]').stdout.strip() for _ in "ab"
    )
    unknown = project.run("-A", "tasks", "call", "tasks.gone", "--force").stdout.strip()
    wait_until(lambda: len(project.json("dead", "list")) == 3)
    # Filters
    assert [letter["id"] for letter in project.json("dead", "list", "--reason", "UnknownTask")] == [unknown]
    assert {letter["id"] for letter in project.json("dead", "list", "--task", "tasks.ref*")} == {first, second}
    assert project.json("dead", "list", "--before", "1h") == []
    assert len(project.json("dead", "list", "--since", "1h", "--queue", "default", "-n", "2")) == 2
    assert "--since takes an age" in project.error("dead", "list", "--since", "lately", code=2)
    # Nothing is done by an oversight
    assert "retry which dead letters?" in project.error("dead", "retry", code=2)
    assert "purge which dead letters?" in project.error("dead", "purge", "--force", code=2)
    assert "give --force" in project.error("dead", "purge", "--all", code=2)
    assert "no dead letter has the id nope" in project.error("dead", "retry", "nope", code=1)
    assert len(project.json("dead", "list")) == 3
    # What is mended is sent again, and its waiter waits
    (project.folder / "go").touch()
    assert project.json("dead", "retry", first) == {"retried": 1, "ids": [first]}
    assert project.json("result", first, "--wait", "60")["result"] == "went"
    assert (
        "Sent 1 dead letter again."
        in project.run("-A", "tasks", "dead", "retry", "--task", "tasks.refuse_unless").stdout
    )
    assert project.json("result", second, "--wait", "60")["result"] == "went"
    assert project.json("dead", "purge", "--reason", "UnknownTask", "--force") == {"purged": 1}
    assert "No dead letters." in project.run("dead", "list").stdout


def test_revoke_and_shutdown(project: Project) -> None:
    # Given a worker with one slot, which is busy, and a task that waits behind
    worker = project.start_worker("-c", "1")
    wait_until(lambda: _slots(project) == 1)
    (name,) = wait_until(lambda: json.loads(project.try_run("inspect", "ping", "--json").stdout or "{}"))
    path = project.folder / "go"
    running = project.run("-A", "tasks", "call", "tasks.wait_for", "-a", f'["{path}"]').stdout.strip()
    wait_until((project.folder / "go.started").exists)
    waiting = project.run("-A", "tasks", "call", "tasks.add", "-a", "[1]").stdout.strip()
    # When the one that waits is revoked, and the worker told to end
    assert project.run("control", "revoke", waiting).stdout == "Revoked 1 task; 1 worker heard it.\n"
    wait_until(lambda: waiting in project.json("inspect", "revoked")[name])
    path.touch()
    assert project.run("result", running, "--wait", "60").stdout == "seen\n"
    assert (
        project.run("result", waiting, "--wait", "60", code=1)
        .stdout.splitlines()[-1]
        .startswith("REVOKED: TaskRevoked")
    )
    assert list(project.json("control", "shutdown").values()) == [{"ok": "shutting down"}]
    # Then it ends by itself
    assert worker.wait(60) == 0


def test_revoke_with_terminate_ends_what_runs(project: Project) -> None:
    project.start_worker("-c", "1")
    running = project.run(
        "-A", "tasks", "call", "tasks.wait_for", "-a", f'["{project.folder / "never"}"]'
    ).stdout.strip()
    wait_until((project.folder / "never.started").exists)
    assert len(project.json("control", "revoke", running, "--terminate")["workers"]) == 1
    assert "REVOKED" in project.run("result", running, "--wait", "60", code=1).stdout


def test_revoke_by_stamps(project: Project) -> None:
    # Given stamps that were revoked, one of them a number, and tasks that bear them or not
    said = project.run("control", "revoke_by_stamped_headers", "by=ada", "order=4711").stdout
    assert said == "Revoked tasks with these stamps; 0 workers heard it.\n"
    stamps = "{'by': 'ada'}, {'order': 4711}, {'by': 'bob'}"
    send = f"print(*[add.s(n).stamp(**stamps).delay().id for n, stamps in enumerate(({stamps}))])"
    ids = project.run("-A", "tasks", "shell", "--command", send).stdout.split()
    # When a worker comes to them
    project.start_worker("-c", "1")
    # Then only the others run
    assert project.run("result", ids[2], "--wait", "60").stdout == "3\n"
    assert [project.json("result", task_id, "--wait", "60", code=1)["state"] for task_id in ids[:2]] == ["REVOKED"] * 2
    assert "NAME=VALUE" in project.run("control", "revoke_by_stamped_headers", "ada", code=2).stderr


def test_shutdown_of_a_worker_by_its_name(project: Project) -> None:
    one, two = project.start_worker("-c", "1", "-n", "one"), project.start_worker("-c", "1", "-n", "two")
    wait_until(lambda: _slots(project) == 2)
    project.run("control", "shutdown", "-d", "one")
    assert one.wait(60) == 0
    assert [worker["name"] for worker in project.json("status")] == ["two"]
    two.send_signal(signal.SIGINT)
    assert two.wait(60) == 0


def test_the_command_line_wins_over_the_environment(project: Project) -> None:
    url = project.environ["UMBEL_BROKER_URL"]
    project.environ["UMBEL_BROKER_URL"] = "redis://127.0.0.1:1/0"
    globals_ = ("-A", "tasks", "-b", url, "--result-backend", url)
    project.start_worker("-c", "1", options=globals_)
    done = project.run(*globals_, "call", "tasks.add", "-a", "[1]").stdout.strip()
    assert project.run(*globals_, "result", done, "--wait", "60").stdout == "2\n"


def test_a_worker_includes_modules_and_logs_json(project: Project) -> None:
    (project.folder / "more.py").write_text("from tasks import app\n\n@app.task\ndef extra():\n    return 'more'\n")
    project.start_worker("-c", "1", "-I", "more", UMBEL_LOG_FORMAT="json")
    done = project.run("call", "more.extra").stdout.strip()
    assert project.run("result", done, "--wait", "60").stdout == "more\n"
    first = (project.folder / "worker.log").read_text().splitlines()[0]
    assert first.startswith('{"time":')


def test_settings_of_a_queue_are_set_and_shown(project: Project) -> None:
    said = project.run("queues", "set", "mail", "--max-length", "2", "--rate", "100/m", "--weight", "acme=3", "--hold")
    assert said.stdout == "Set dispatch, group_weights, max_length, rate_limit of mail.\n"
    assert project.json("queues", "show", "mail") == {
        "dispatch": "Held",
        "group_weights": {"acme": 3},
        "max_length": 2,
        "rate_limit": "100/m, 1 at once",
    }
    project.run("queues", "set", "mail", "--overflow", "drop-oldest", "--burst", "5", "--weight", "beta=2")
    shown = project.json("queues", "show", "mail")
    assert (shown["overflow"], shown["rate_limit"]) == ("DropOldest", "100/m, 5 at once")
    assert shown["group_weights"] == {"acme": 3, "beta": 2}
    project.run("queues", "set", "mail", "--max-length", "none", "--rate", "none", "--resume")
    assert project.json("queues", "show", "mail").keys() == {"dispatch", "group_weights", "overflow"}
    assert "no settings of its own" in project.run("queues", "show", "other").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to change: name a setting"),
        (("--max-length", "0"), "'0' is no bound: give a whole number from 1 on, or none"),
        (("--rate", "often"), "'often' is no rate: give tasks per second"),
        (("--burst", "3"), "add --rate 100/m"),
        (("--overflow", "reject"), "add --max-length N"),
        (("--weight", "acme"), "such as acme=3"),
    ],
)
def test_settings_that_do_not_fit_are_refused(project: Project, arguments: tuple[str, ...], words: str) -> None:
    refused = project.try_run("queues", "set", "mail", *arguments)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert project.json("queues", "show", "mail") == {}
