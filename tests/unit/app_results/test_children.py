"""What a task has sent is kept with its result."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from umbel import Umbel, context
from umbel.execution import run
from umbel.message import Message
from umbel.verdict import Execution


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    monkeypatch.setattr(context, "_default_app", [])
    with Umbel("shop", broker=f"memory://{uuid.uuid4().hex}") as app:
        app.task(name="other")(lambda: None)
        yield app


def run_it(app: Umbel, name: str) -> Execution:
    return run(app, Message({"id": "parent", "task": name}, b"[[],{}]"), now=0.0, hostname="w")


def children(ended: Execution) -> Any:
    assert ended.record is not None
    return ended.record.meta.get("children")


def test_all_ways_of_sending_are_noted(app: Umbel) -> None:
    sent: list[str] = []

    @app.task(name="sends", bind=True)
    def sends(self: Any) -> None:
        other = app.tasks["other"]
        sent.extend(result.id for result in (other.delay(), other.apply_async(), app.send_task("unknown")))
        other.apply_async(add_to_parent=False)
        with app.batch():
            sent.append(other.delay().id)
        assert self.request.children == sent

    assert children(run_it(app, "sends")) == sent
    app.task(name="alone")(lambda: 1)
    assert children(run_it(app, "alone")) is None


def test_a_failed_task_shows_what_it_sent_too(app: Umbel) -> None:
    @app.task(name="fails")
    def fails() -> None:
        app.send_task("other", task_id="child")
        raise ValueError("x")

    ended = run_it(app, "fails")
    assert children(ended) == ["child"]
    assert app.results.store("parent", ended.record, 60)  # type: ignore[arg-type]
    result = app.AsyncResult("parent")
    assert result.children == [app.AsyncResult("child")]
    assert [str(node) for _, node in result.iterdeps(intermediate=True)] == ["parent", "child"]


def test_a_task_without_a_trail_notes_nothing(app: Umbel) -> None:
    @app.task(name="silent", trail=False)
    def silent() -> None:
        app.tasks["other"].delay()

    assert children(run_it(app, "silent")) is None


def test_children_have_a_bound(app: Umbel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "MOST_CHILDREN", 3)

    @app.task(name="many")
    def many() -> None:
        for _ in range(5):
            app.tasks["other"].delay()

    assert len(children(run_it(app, "many"))) == 3


def test_what_nobody_sent_has_no_parent(app: Umbel) -> None:
    result = app.tasks["other"].apply_async(add_to_parent=True)
    assert result.parent is None
