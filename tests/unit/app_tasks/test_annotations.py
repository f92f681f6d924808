"""``task_annotations``, ``annotate`` and ``add_around``: tasks that are changed from outside."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.unit.app_tasks.sent import take_one

from umbel import Task, Umbel
from umbel.annotating import MapAnnotation
from umbel.errors import ImproperlyConfigured
from umbel.testing import InMemoryWorker


@pytest.fixture
def app() -> Iterator[Umbel]:
    with Umbel("annotated", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False) as app:
        yield app


def make_add(app: Umbel) -> Any:
    def add(x: int, y: int = 0) -> int:
        return x + y

    return app.task(name="shop.add", queue="slow")(add)


class ForShop:
    def annotate(self, task: Task[..., Any]) -> dict[str, Any] | None:
        return {"priority": 8} if task.name.startswith("shop.") else None


@pytest.mark.parametrize(
    "annotations",
    [
        {"shop.add": {"priority": 8}},
        {"*": {"priority": 8}},
        MapAnnotation({"shop.add": {"priority": 8}}),
        ForShop(),
        [{"other": {"priority": 1}}, ForShop()],
        f"{__name__}:ForShop",
    ],
    ids=["dict", "all", "MapAnnotation", "object", "list", "path"],
)
def test_options_come_from_outside(app: Umbel, annotations: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules[ForShop.__module__])
    add = make_add(app)
    app.conf.task_annotations = annotations
    add.delay(1)
    assert take_one(app, "slow").priority == 8
    add.apply_async((1,))
    assert take_one(app, "slow").priority == 8


def test_what_names_the_task_wins(app: Umbel) -> None:
    add = make_add(app)
    app.conf.task_annotations = {"*": {"priority": 1, "time_limit": 9}, "shop.add": {"priority": 8}}
    add.annotate()
    assert (add.priority, add.time_limit) == (8, 9)


def test_a_worker_takes_them_too(app: Umbel) -> None:
    add = make_add(app)
    app.conf.task_annotations = {"shop.add": {"queue": "fast"}}
    assert app.queue_names() == {"default", "fast"}
    app.prepare_worker()
    assert add.queue == "fast"


def test_a_handler_from_outside_is_called(app: Umbel) -> None:
    told: list[Any] = []

    def on_failure(self: Task[..., Any], exc: Exception, task_id: str, *rest: Any) -> None:
        told.append((self.name, str(exc)))

    @app.task(name="fail")
    def fail() -> None:
        raise ValueError("no")

    app.conf.task_annotations = {"*": {"on_failure": on_failure}}
    fail.delay()
    InMemoryWorker(app).run()
    assert told == [("fail", "no")]


@pytest.mark.parametrize("key", ["@run", "@__call__"])
def test_something_is_put_around_a_method(app: Umbel, key: str) -> None:
    def doubled(method: Callable[..., int]) -> Callable[..., int]:
        return lambda *args, **kwargs: 2 * method(*args, **kwargs)

    add = make_add(app)
    app.conf.task_annotations = {"shop.add": {key: doubled}}
    result = add.delay(1, 2)
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == 6
    assert add(1, 2) == 6


def test_add_around_by_itself(app: Umbel) -> None:
    add = make_add(app)
    add.add_around("run", lambda run: lambda x: run(x) + 100)
    assert add(1) == 101
    with pytest.raises(ImproperlyConfigured, match="no method 'walk'"):
        add.add_around("walk", lambda run: run)
    with pytest.raises(ImproperlyConfigured, match="return the function to call"):
        add.add_around("run", lambda run: None)


@pytest.mark.parametrize(
    ("annotations", "error", "said"),
    [
        ({"*": {"time_limt": 3}}, ImproperlyConfigured, "did you mean 'time_limit'"),
        ({"*": {"time_limit": -3}}, ValueError, "time_limit=-3"),
        ([3], ImproperlyConfigured, "task_annotations holds 3"),
    ],
)
def test_what_is_wrong_is_said(app: Umbel, annotations: Any, error: type[Exception], said: str) -> None:
    add = make_add(app)
    app.conf.task_annotations = annotations
    with pytest.raises(error, match=said):
        add.delay(1)


def test_options_keep_what_follows_from_them(app: Umbel) -> None:
    @app.task(name="once")
    def once(user: int) -> None: ...

    app.conf.task_annotations = {"once": {"unique": True}}
    assert once.delay(1).id == once.delay(1).id
    assert once.delay(2).id != once.delay(1).id
