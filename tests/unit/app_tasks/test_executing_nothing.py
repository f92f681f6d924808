"""Messages that no task runs, and what is told to others about those that ran."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.app_tasks.executing import NOW, error_of, execute, make_flaky
from tests.unit.app_tasks.sent import take

from umbel import Task, Umbel, states
from umbel.broker.base import Kind
from umbel.errors import (
    InvalidTaskError,
    NotRegistered,
)
from umbel.message import Message


def test_an_unknown_task_waits_for_a_while_and_is_then_dead(app: Umbel) -> None:
    app.send_task("shop.unknown", countdown=100)
    app.send_task("shop.unknown")
    (message,) = take(app)
    sent = message.enqueued_ms / 1000
    ended = execute(app, message, sent + 299)
    assert (ended.kind, ended.record) == (Kind.GIVE_BACK, None)
    assert 0 < ended.delay <= 5
    ended = execute(app, message, sent + 301)
    assert (ended.kind, ended.state) == (Kind.DEAD, states.FAILURE)
    assert ended.reason is not None
    assert ended.reason["reason"] == "UnknownTask"
    assert "no task is registered as 'shop.unknown'" in ended.reason["message"]
    assert "No worker knew it for 300 s" in ended.reason["message"]
    assert isinstance(error_of(ended), NotRegistered)
    # A delayed one is as old as its due time
    message.headers["delay"] = 100.0
    assert execute(app, message, sent + 301).kind is Kind.GIVE_BACK


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b"{", None, "not valid JSON"),
        (b"[1,2,3]", None, "must hold [args, kwargs]"),
        (b"[{},[]]", None, "must hold [args, kwargs]"),
        (b'[[{"__type__":"mystery","__value__":1}],{}]', None, "'mystery'"),
    ],
)
def test_an_unreadable_body_is_dead(app: Umbel, body: bytes, content_type: str | None, text: str) -> None:
    app.task(name="any")(lambda *a, **k: None)
    headers = {"id": "i", "task": "any"} | ({"content_type": content_type} if content_type else {})
    ended = execute(app, Message(headers, body), NOW)
    assert ended.kind is Kind.DEAD
    assert ended.reason is not None
    assert ended.reason["reason"] == "Unreadable"
    assert text in ended.reason["message"]
    assert isinstance(error_of(ended), (ValueError, InvalidTaskError))


def test_arguments_that_do_not_fit_here_are_a_failure(app: Umbel) -> None:
    app.task(name="one")(lambda x: x)
    ended = execute(app, Message({"id": "i", "task": "one"}, b"[[1,2],{}]"), NOW)
    assert ended.state == states.FAILURE
    assert isinstance(error_of(ended), TypeError)


def test_a_scheduled_run_is_noted_when_it_ends(app: Umbel) -> None:
    @app.task(name="report", bind=True)
    def report(self: Task[..., Any]) -> None:
        if self.request.retries == 0:
            self.retry()

    message = Message({"id": "i", "task": "report", "schedule": "uid", "run": "r1"}, b"[[],{}]")
    first = execute(app, message, NOW)
    assert first.outcome(1, 1.0).run is None
    assert first.retry is not None
    assert execute(app, first.retry, NOW).outcome(1, 1.0).run == ("uid", "r1", "SUCCESS")


def test_replies_are_for_those_who_wait_for_the_end(app: Umbel) -> None:
    message = Message({"id": "i", "task": "report", "reply_to": "inbox"}, b"[[],{}]")
    app.task(name="report")(lambda: 1)
    assert execute(app, message, NOW).outcome(1, 1.0).reply_to == "inbox"
    make_flaky(app)
    message.headers["task"] = "flaky"
    assert execute(app, message, NOW).outcome(1, 1.0).reply_to is None
