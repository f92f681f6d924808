"""Events of real workers: what they tell, when they are silent, and that a monitor which comes later sees what was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, until
from tests.workers import heard as children_hear

from umbel import Umbel
from umbel.events.state import State

APP = "tests.events_app:app"
TASKS = "tests.events_app."


def heard(app: Umbel) -> list[dict[str, Any]]:
    """Return all events that are kept."""
    found: list[dict[str, Any]] = []
    with app.events.Receiver(handlers={"*": found.append}, since=0) as receiver, pytest.raises(TimeoutError):
        receiver.capture(timeout=0.1)
    return found


def types(app: Umbel, uuid: str) -> list[str]:
    """Return the types of the events of a task, in the order in which they happened: each process writes its own now and then."""
    found = [event for event in heard(app) if event.get("uuid") == uuid]
    return [event["type"] for event in sorted(found, key=lambda event: event["timestamp"])]


@pytest.mark.parametrize("pool", ["process", "thread", "asyncio", "solo"])
def test_what_tasks_tell(
    pool: str,
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
) -> None:
    worker = start_worker(redis_server, prefix, "-E", "--pool", pool, app=APP, concurrency=2).wait_ready()
    app = producer(redis_server, task_send_sent_event=True)
    results = {name: app.send_task(TASKS + name) for name in ("breaks", "again", "rejects", "tells", "silent")}
    results["add"] = app.send_task(TASKS + "add", (1, 2))
    for result in results.values():
        result.get(timeout=30, propagate=False)
    expired = app.send_task(TASKS + "add", (1, 2), expires=0)
    expired.get(timeout=30, propagate=False)
    assert worker.stop() == 0
    app.events.pen.flush()

    received = ["task-sent", "task-received", "task-started"]
    expected = {
        "add": [*received, "task-succeeded"],
        "breaks": [*received, "task-failed"],
        "again": [*received, "task-retried", "task-received", "task-started", "task-succeeded"],
        "rejects": [*received, "task-rejected"],
        "tells": [*received, "task-progress", "task-succeeded"],
        "silent": ["task-sent"],  # the sender does not know the option of a task that it sends by name
    }
    for name, wanted in expected.items():
        found = types(app, results[name].id)
        assert sorted(found) == sorted(wanted), name
        assert [one for one in found if one != "task-sent"] == wanted[1:], name
    assert "task-revoked" in types(app, expired.id)

    events = heard(app)
    by_type = {event["type"]: event for event in events if event.get("uuid") == results["add"].id}
    for event in by_type.values():
        assert event["timestamp"] > 0
        assert isinstance(event["clock"], int)
        assert {"hostname", "pid", "utcoffset", "local_received"} <= event.keys()
    assert by_type["task-received"]["hostname"] == worker.hostname
    assert by_type["task-received"]["args"] == "(1, 2)"
    assert by_type["task-sent"]["routing_key"] == "default"
    assert by_type["task-succeeded"]["result"] == "3"
    assert by_type["task-succeeded"]["runtime"] > 0
    failed = next(event for event in events if event["type"] == "task-failed")
    assert failed["exception"] == "LookupError('not there')"
    assert "breaks" in failed["traceback"]
    of_worker = [event for event in events if event["type"].startswith("worker-")]
    assert [of_worker[0]["type"], of_worker[-1]["type"]] == ["worker-online", "worker-offline"]
    assert of_worker[-1]["processed"] >= 7
    assert {"freq", "active", "loadavg", "sw_ident", "sw_ver", "sw_sys"} <= of_worker[-1].keys()

    state = State()
    for event in events:
        state.event(event)
    assert state.tasks[results["again"].id].state == "SUCCESS"
    assert state.tasks[results["breaks"].id].exception == "LookupError('not there')"
    assert not state.workers[worker.hostname].alive


def test_nothing_is_written_until_somebody_wants_it(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    worker = start_worker(redis_server, prefix, app=APP, concurrency=1).wait_ready()
    app = producer(redis_server)
    with redis_server.client() as client:
        app.send_task(TASKS + "tells").get(timeout=20)
        assert not client.exists(f"{prefix}:{{events}}:stream")
        name = worker.hostname
        assert app.control.enable_events(reply=True, timeout=20) == [{name: {"ok": "task events enabled"}}]
        assert app.control.enable_events(reply=True, timeout=20) == [{name: {"ok": "task events already enabled"}}]
        children_hear(app)
        assert app.send_task(TASKS + "add", (1, 2)).get(timeout=20) == 3
        until(lambda: any(event["type"] == "task-succeeded" for event in heard(app)), "the task has told of its end")
        until(lambda: any(event["type"] == "worker-online" for event in heard(app)), "the worker has told of itself")
        assert client.ttl(f"{prefix}:{{events}}:stream") > 0
        assert app.control.disable_events(reply=True, timeout=20) == [{name: {"ok": "task events disabled"}}]
        until(lambda: heard(app)[-1]["type"] == "worker-offline", "the worker has said its last word")
        children_hear(app)
        count = len(heard(app))
        assert app.send_task(TASKS + "add", (1, 2)).get(timeout=20) == 3
        assert worker.stop() == 0
        assert len(heard(app)) == count


def test_tasks_that_end_with_their_process(
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    tmp_path: Path,
) -> None:
    start_worker(redis_server, prefix, "-E", app=APP, concurrency=1).wait_ready()
    app = producer(redis_server)
    late = app.send_task(TASKS + "too_long")
    late.get(timeout=30, propagate=False)
    until(lambda: "task-failed" in types(app, late.id), "it is told that its time was over")
    held = app.send_task(TASKS + "holds", (str(tmp_path),))
    until(lambda: (tmp_path / "runs").exists(), "it runs")
    app.control.revoke(held.id, terminate=True)
    held.get(timeout=30, propagate=False)
    until(lambda: "task-revoked" in types(app, held.id), "it is told that it was terminated")
    revoked = next(event for event in heard(app) if event["type"] == "task-revoked")
    assert (revoked["terminated"], revoked["expired"], revoked["signum"]) == (True, False, 9)


def test_a_task_that_begins_is_told_of_at_once(
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    tmp_path: Path,
) -> None:
    start_worker(redis_server, prefix, "-E", app=APP, concurrency=1).wait_ready()
    app = producer(redis_server)
    held = app.send_task(TASKS + "holds", (str(tmp_path),))
    until(lambda: types(app, held.id) == ["task-received", "task-started"], "it is told while the task runs")
    (tmp_path / "go").touch()
    held.get(timeout=30)


def test_events_wait_while_redis_is_away(
    own_redis: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    tmp_path: Path,
) -> None:
    worker = start_worker(own_redis, prefix, "-E", app=APP, concurrency=1).wait_ready()
    app = producer(own_redis)
    found: list[dict[str, Any]] = []
    held = app.send_task(TASKS + "holds", (str(tmp_path),))
    until(lambda: (tmp_path / "runs").exists(), "it runs")
    own_redis.stop()
    (tmp_path / "go").touch()
    own_redis.start()
    held.get(timeout=30)
    until(lambda: "task-succeeded" in types(app, held.id), "its end was told when Redis was back")
    with app.events.Receiver(handlers={"*": found.append}, since=0) as receiver:
        receiver.capture(limit=2)
    assert len(found) == 2
    assert "umbel_worker_lost_events_total 0" in worker.probe("metrics")[1]
