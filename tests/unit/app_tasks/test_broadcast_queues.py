"""``Broadcast`` queues and queues of single workers: what they are made of, and what workers in memory do with them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from umbel import AsyncResult, Broadcast, Queue, Umbel, chain, worker_direct
from umbel.errors import ImproperlyConfigured, QueueNotFound, TaskRevokedError
from umbel.message import Message
from umbel.ownqueues import COPY_OF, broadcasts, with_own
from umbel.testing import InMemoryWorker
from umbel.worker.copying import copy_id, copy_of

Workers = Callable[..., ExitStack]


@pytest.fixture
def app() -> Iterator[Umbel]:
    queues = [Queue("default"), Broadcast("caches")]
    with Umbel("broad", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False, task_queues=queues) as app:
        yield app


@pytest.mark.parametrize(
    "given",
    [
        Broadcast("caches"),
        Broadcast(name="caches", queue="other"),
        Broadcast(queue="caches"),
        Broadcast("caches", unique=True, auto_delete=True, alias="x"),
        {"name": "caches", "broadcast": True},
        type("Broadcast", (), {"name": "bcast.7a3f", "alias": "caches"})(),
        type("Broadcast", (), {"name": "bcast.7a3f", "exchange": SimpleNamespace(name="caches")})(),
    ],
    ids=range(7),
)
def test_a_broadcast_queue_is_declared(app: Umbel, given: Any) -> None:
    app.conf.task_queues = ["default", given]
    assert app.conf.task_queues[1] == Broadcast("caches")
    assert app.conf.task_queues[1] != Queue("caches")
    assert broadcasts(app.conf) == {"caches"}
    app.conf.task_queues = {"caches": {"broadcast": True, "routing_key": "all"}}
    assert app.conf.task_queues == (Broadcast("caches", routing_key="all"),)


def test_a_broadcast_queue_is_declared_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_TASK_QUEUES", '["default", {"name": "caches", "broadcast": true}]')
    with Umbel("broad", set_as_current=False) as app:
        assert app.conf.task_queues == (Queue("default"), Broadcast("caches"))
        monkeypatch.setenv("UMBEL_TASK_QUEUES", '["default"')
    with Umbel("broad", set_as_current=False) as app, pytest.raises(ImproperlyConfigured, match="no JSON"):
        _ = app.conf.task_queues


def test_shards_of_a_broadcast_queue_are_broadcast_too(app: Umbel) -> None:
    app.conf.queue_shards = {"caches": 3, "default": 2}
    assert broadcasts(app.conf) == {"caches", "caches.1", "caches.2"}


@pytest.mark.parametrize(("arguments", "why"), [({}, "has no name"), ({"name": "a", "prefetch": 3}, "'prefetch'")])
def test_what_is_wrong_with_one_is_said(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=why):
        Broadcast(**arguments)


def test_who_has_a_queue_of_its_own() -> None:
    queues = (("a", 1), ("caches", 3))
    assert with_own(queues, "w@1", {"caches"}, direct=False) == (("w@1.dq2", 3), *queues)
    assert with_own(queues, "w@1", {"others"}, direct=False) == queues
    assert with_own(queues, "w@1", (), direct=True) == (("w@1.dq2", 3), *queues)
    assert with_own((("w@1.dq2", 1),), "w@1", (), direct=True) == (("w@1.dq2", 1),)
    assert worker_direct("w@1") == Queue("w@1.dq2") == worker_direct(worker_direct("w@1"))


def test_own_queues_need_not_be_listed(app: Umbel) -> None:
    app.conf.task_create_missing_queues = False
    app.send_task("x", queue=worker_direct("w@1"))
    with pytest.raises(QueueNotFound):
        app.send_task("x", queue="w@1")


def test_a_copy_is_a_task_like_any_other() -> None:
    headers: dict[str, Any] = {
        "id": "x",
        "task": "t",
        "w": {},
        "run": "r",
        "schedule": "s",
        "lock": ["l", 1, "skip"],
        "reply_to": "me",
    }
    headers |= {"expires": 10.0, "delay": 4.0, "group_id": "g", "timelimit": [3, 2], "ignore_result": True}
    message = Message(headers, b"[[],{}]", 7, attempt=3, lost=1, enqueued_ms=100_000, flags=5)
    kept = {name: headers[name] for name in ("task", "timelimit", "ignore_result")}
    plain = Message({"id": "x", "task": "t", "root_id": "y"}, b"")
    copy = copy_of(message, "w@1", (kept, b"[[1],{}]"), 106.0, ["wf"])
    assert copy.headers == kept | {
        "id": "x.w@1",
        "parent_id": "x",
        "root_id": "x",
        "expires": 4.0,
        COPY_OF: ["x", "wf"],
    }
    assert (copy.body, copy.priority, copy.attempt, copy.lost, copy.flags) == (b"[[1],{}]", 7, 0, 0, 0)
    assert copy.nonce != message.nonce
    assert copy_of(plain, "w@1", ({}, b""), 106.0, []).headers["root_id"] == "y"
    assert len(copy_id("i" * 200, "w" * 100)) == 36


@pytest.fixture
def workers(app: Umbel) -> Iterator[Workers]:
    with ExitStack() as running:

        def start(*names: str) -> ExitStack:
            for name in names:
                running.enter_context(InMemoryWorker(app, hostname=name))
            return running

        yield start


def test_workers_in_memory_run_it_each(app: Umbel, workers: Workers) -> None:
    @app.task(bind=True)
    def name(self: Any, word: str = "") -> str:
        return f"{self.request.hostname}{word}"

    # It waits until somebody is there, and who comes later has no part in it
    waiting: AsyncResult[Any] = app.send_task(name.name, queue="caches")
    first = InMemoryWorker(app, hostname="z")
    first.run()
    assert waiting.get(timeout=20) == {"z": f"{waiting.id}.z"}
    workers("a", "b")
    copies = app.send_task(name.name, ("!",), queue="caches").get(timeout=20)
    assert {who: app.AsyncResult(copy).get(timeout=20) for who, copy in copies.items()} == {"a": "a!", "b": "b!"}
    # One of them alone
    assert name.apply_async(queue=worker_direct("b")).get(timeout=20) == "b"


def test_the_copies_get_what_came_before_in_a_chain(app: Umbel, workers: Workers) -> None:
    ran = []

    @app.task
    def one() -> int:
        return 1

    @app.task(bind=True)
    def each(self: Any, x: Any) -> None:
        ran.append((self.request.hostname, x, self.request.parent_id, self.request.root_id))

    @app.task
    def last(copies: Any) -> list[str]:
        return sorted(copies)

    workers("a", "b")
    result = chain(one.s(), each.s().set(queue="caches"), last.s()).apply_async()
    assert result.get(timeout=20) == ["a", "b"]
    for copy in result.parent.get(timeout=20).values():
        app.AsyncResult(copy).get(timeout=20)
    parent, root = result.parent.id, result.parent.parent.id
    assert sorted(ran) == [("a", 1, parent, root), ("b", 1, parent, root)]


def test_it_ends_without_a_run_as_any_task(app: Umbel) -> None:
    ran = []

    @app.task
    def run() -> None:
        ran.append(1)

    expired = run.apply_async(queue="caches", expires=0.001)
    revoked = run.apply_async(queue="caches")
    revoked.revoke()
    time.sleep(0.02)  # longer than it may wait
    InMemoryWorker(app, hostname="a").run()
    for result, why in ((expired, "expired"), (revoked, "revoked")):
        with pytest.raises(TaskRevokedError, match=why):
            result.get(timeout=20)
    assert not ran


def test_without_results_it_is_copied_all_the_same(app: Umbel) -> None:
    ran = []

    @app.task(ignore_result=True, bind=True)
    def run(self: Any) -> None:
        ran.append(self.request.id)

    sent = run.apply_async(queue="caches")
    InMemoryWorker(app, hostname="a").run()
    assert ran == [f"{sent.id}.a"]
    assert app.AsyncResult(sent.id).state == app.AsyncResult(ran[0]).state == "PENDING"


def test_monitors_see_the_task_and_its_copies(app: Umbel) -> None:
    @app.task
    def run() -> None:
        """Nothing."""

    app.conf.worker_send_task_events = True
    sent = run.apply_async(queue="caches")
    InMemoryWorker(app, hostname="a").run()
    app.events.pen.flush()
    seen = [(event["type"], event["uuid"]) for event in app.events.Receiver(since=0).itercapture(limit=5)]
    copy = f"{sent.id}.a"
    assert seen == [
        ("task-received", sent.id),
        ("task-succeeded", sent.id),
        ("task-received", copy),
        ("task-started", copy),
        ("task-succeeded", copy),
    ]
