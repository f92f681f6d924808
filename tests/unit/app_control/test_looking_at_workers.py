"""What is told of workers, from what stands in the broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest

from umbel import Umbel
from umbel.broker.base import Consumer, OwnerInfo
from umbel.broker.memory import MemoryBroker
from umbel.clock import ManualClock
from umbel.control.taskinfo import describe, task_info, unpack
from umbel.control.workers import matching, registered
from umbel.errors import ImproperlyConfigured
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
    one, two = registered(app.broker)
    assert (one.name, one.id, one.state, len(one.owners), one.busy) == ("w1", "s1", "running", 2, 1)
    assert one.queues == ["default", "mail"]
    assert (two.name, two.busy, two.queues) == ("w2", 0, ["default"])
    assert [worker.name for worker in registered(app.broker, ["w2"])] == ["w2"]


def test_workers_of_one_name_are_told_apart(app: Umbel) -> None:
    start(app, "s1", "w")
    start(app, "s2", "w")
    assert [worker.name for worker in registered(app.broker)] == ["w (s1)", "w (s2)"]


def test_a_worker_without_heartbeat_is_silent_and_a_draining_one_says_so() -> None:
    # Given a broker whose clock is far from that of this machine
    clock = ManualClock(now=5_000.0)
    broker = MemoryBroker(f"memory://{uuid.uuid4().hex}", clock=clock)
    owner = OwnerInfo(new_owner_id(), ["default"], worker="s1", hostname="w1")
    broker.consumer(owner).register()
    owner.state = "draining"
    assert broker.liveness().beat([owner]) == []
    # Then a heartbeat is as old as the broker says
    (worker,) = registered(broker)
    assert (worker.state, worker.age < 5) == ("draining", True)
    clock.advance(60)
    (worker,) = registered(broker)
    assert worker.state == "silent"


def test_names_match_patterns() -> None:
    names = ["mail@a", "mail@b", "reports@a"]
    assert matching(names, "mail@*") == ["mail@a", "mail@b"]
    assert matching(names, r".+@a$", "pcre") == ["mail@a", "reports@a"]
    with pytest.raises(ImproperlyConfigured, match="no regular expression"):
        matching(names, "(", "pcre")
    with pytest.raises(ImproperlyConfigured, match="no matcher 'regex'"):
        matching(names, "x", "regex")


def test_a_message_is_described_and_its_arguments_are_objects_again(app: Umbel) -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    app.send_task("shop.add", (1, when), {"y": Decimal("1.5")}, priority=8, task_id="i")
    (delivery,) = start(app, "s1", "w1").cycle("default", [], 1).deliveries
    info = task_info(delivery.payload, "default", hostname="w1", pid=7)
    orjson.dumps(info)  # it travels
    assert (info["id"], info["name"], info["type"], info["queue"]) == ("i", "shop.add", "shop.add", "default")
    assert (info["hostname"], info["worker_pid"], info["priority"], info["acknowledged"]) == ("w1", 7, 8, False)
    assert info["delivery_info"] == {
        "exchange": "",
        "routing_key": "default",
        "priority": 8,
        "redelivered": False,
    }
    shown = unpack(info)
    assert (shown["args"], shown["kwargs"]) == ([1, when], {"y": Decimal("1.5")})


def test_what_cannot_be_read_is_shown_all_the_same(app: Umbel) -> None:
    assert "shorter than its head" in describe(b"xx", "mail")["error"]
    app.send_task("shop.add", task_id="i")
    app.send_task("shop.add", ("x" * 20_000,), task_id="long")
    consumer = start(app, "s1", "w1")
    first, second = consumer.cycle("default", [], 2).deliveries
    info = describe(first.payload[:-7] + b"{{{{{{{", "mail")
    assert (info["id"], info["queue"]) == ("i", "mail")
    assert "cannot be read" in info["error"]
    assert "take 20,0" in task_info(second.payload, "mail")["error"]
    assert describe(second.payload, "mail")["args"] == ["x" * 20_000]


def test_purge_drops_the_queues_of_the_app(app: Umbel) -> None:
    app.task(name="mail", queue="mail")(lambda: None)
    for name, options in (("mail", {}), ("x", {}), ("x", {"countdown": 60}), ("x", {"queue": "elsewhere"})):
        app.send_task(name, **options)  # type: ignore[arg-type]
    assert app.control.purge() == 3
    assert app.control.purge(["elsewhere"]) == 1
