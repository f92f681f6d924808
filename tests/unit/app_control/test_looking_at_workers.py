"""What is told of workers, from what stands in the broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from umbel import Umbel
from umbel.broker.base import Consumer, OwnerInfo
from umbel.clock import ManualClock
from umbel.control.commands import Control
from umbel.control.inspect import Inspect
from umbel.ids import new_owner_id


@pytest.fixture
def app() -> Iterator[Umbel]:
    with Umbel("shop", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False) as app:
        yield app


def start(app: Umbel, worker: str, name: str, *, queues: list[str] | None = None, take: int = 0) -> Consumer:
    """Register a child of a worker, and let it fetch."""
    owner = OwnerInfo(new_owner_id(), queues or ["default"], worker=worker, hostname=name, pid=7, pool="mail")
    consumer = app.broker.consumer(owner)
    consumer.register()
    if take:
        assert len(consumer.cycle("default", [], take).deliveries) == take
    return consumer


def beat(app: Umbel, *consumers: Consumer, busy_since: float = 0.0, state: str = "running") -> None:
    """Give the heartbeat of some children."""
    for consumer in consumers:
        consumer.owner.busy_since, consumer.owner.state = busy_since, state
    assert app.broker.liveness().beat([consumer.owner for consumer in consumers]) == []


def test_children_are_grouped_by_worker(app: Umbel) -> None:
    # Given two workers, one with two children of which one is busy
    first, second = start(app, "s1", "w1"), start(app, "s1", "w1", queues=["default", "mail"])
    other = start(app, "s2", "w2")
    beat(app, second, other)
    beat(app, first, busy_since=1.0)
    # Then each is told of once
    told = Inspect(app).stats()
    assert list(told) == ["w1", "w2"]
    assert told["w1"] | {"last_beat_seconds": 0} == {
        "state": "running",
        "slots": 2,
        "busy": 1,
        "queues": ["default", "mail"],
        "pids": [7, 7],
        "pool": "mail",
        "pod_uid": None,
        "worker": "s1",
        "last_beat_seconds": 0,
    }
    assert list(Inspect(app, ["w2"]).stats()) == ["w2"]
    assert Inspect(app).active_queues()["w2"] == [{"name": "default"}]


def test_workers_of_one_name_are_told_apart(app: Umbel) -> None:
    start(app, "s1", "w")
    start(app, "s2", "w")
    assert [worker.name for worker in Inspect(app).workers()] == ["w (s1)", "w (s2)"]


def test_a_worker_without_heartbeat_is_silent_and_a_draining_one_says_so(app: Umbel) -> None:
    one = start(app, "s1", "w1")
    beat(app, one, state="draining")
    (worker,) = Inspect(app).workers()
    assert (worker.state, worker.age < 5) == ("draining", True)
    later = ManualClock(one.owner.last_beat or worker.owners[0].last_beat + 60)
    (worker,) = Inspect(app, clock=later).workers()
    assert worker.state == "silent"


def test_what_runs_is_told_apart_from_what_waits(app: Umbel) -> None:
    for number in range(3):
        app.send_task("shop.add", (number,), {"y": 1}, priority=8)
    busy, idle = start(app, "s1", "w1", take=2), start(app, "s1", "w1", take=1)
    beat(app, idle)
    beat(app, busy, busy_since=1_800_000_000.0)
    (running,) = Inspect(app).active()["w1"]
    assert (running["name"], running["args"], running["kwargs"], running["queue"]) == (
        "shop.add",
        [0],
        {"y": 1},
        "default",
    )
    assert (running["hostname"], running["worker_pid"], running["priority"]) == ("w1", 7, 8)
    assert running["time_start"] == pytest.approx(1_800_000_000.0, abs=1.0)
    waiting = Inspect(app).reserved()["w1"]
    assert sorted(info["args"] for info in waiting) == [[1], [2]]
    assert {info["time_start"] for info in waiting} == {None}


def test_what_cannot_be_read_is_shown_all_the_same(app: Umbel) -> None:
    from umbel.control.inspect import describe

    assert "shorter than its head" in describe(b"xx", "mail")["error"]
    app.send_task("shop.add", task_id="i")
    consumer = start(app, "s1", "w1")
    (delivery,) = consumer.cycle("default", [], 1).deliveries
    info = describe(delivery.payload[:-7] + b"{{{{{{{", "mail")
    assert (info["id"], info["queue"]) == ("i", "mail")
    assert "not valid JSON" in info["error"]


def test_ping_waits_for_a_heartbeat_that_comes_now(app: Umbel) -> None:
    alive, dead = start(app, "s1", "alive"), start(app, "s2", "dead")
    beat(app, alive, dead)
    import threading
    import time

    stop = threading.Event()

    def keep_beating() -> None:
        while not stop.wait(0.05):
            beat(app, alive)

    heart = threading.Thread(target=keep_beating)
    heart.start()
    try:
        begun = time.monotonic()
        assert Inspect(app, ["alive"]).ping(timeout=20) == {"alive": {"ok": "pong"}}
        assert time.monotonic() - begun < 10
        assert Control(app).ping(timeout=1) == [{"alive": {"ok": "pong"}}]
    finally:
        stop.set()
        heart.join()


def test_commands_reach_those_who_listen(app: Umbel) -> None:
    import queue

    heard: queue.Queue[dict[str, Any]] = queue.Queue()
    listener = app.broker.listen(heard.put)
    try:
        assert app.control.revoke("1") == 1
        assert app.control.revoke(["2", "3"], terminate=True) == 1
        assert app.control.revoke([]) == 0
        assert app.control.shutdown(["w1"]) == 1
        got = [heard.get(timeout=10) for _ in range(3)]
    finally:
        listener.stop()
        listener.join(10)
    assert got == [
        {"command": "revoke", "ids": ["1"], "terminate": False},
        {"command": "revoke", "ids": ["2", "3"], "terminate": True},
        {"command": "shutdown", "destination": ["w1"]},
    ]
    assert app.control.inspect().revoked() == ["1", "2", "3"]


def test_purge_drops_the_queues_of_the_app(app: Umbel) -> None:
    app.task(name="mail", queue="mail")(lambda: None)
    for name, options in (("mail", {}), ("x", {}), ("x", {"countdown": 60}), ("x", {"queue": "elsewhere"})):
        app.send_task(name, **options)  # type: ignore[arg-type]
    assert app.control.purge() == 3
    assert app.control.purge(["elsewhere"]) == 1
