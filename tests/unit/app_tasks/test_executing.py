"""How a delivery ends, whatever the task does: states and records."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.unit.app_tasks.executing import NOW, error_of, execute, make_flaky
from tests.unit.app_tasks.sent import take, take_one

from umbel import Ignore, Reject, Task, Umbel, current_task, states
from umbel.broker.base import Kind
from umbel.errors import (
    EncodeError,
    RemoteError,
    TaskRevokedError,
)
from umbel.message import Message
from umbel.result import value_of


def test_a_task_that_returns(app: Umbel) -> None:
    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    add.delay(1, y=2)
    message = take_one(app)
    message.attempt = 4
    began = time.perf_counter()
    ended = execute(app, message)
    assert (ended.state, ended.kind, ended.value) == (states.SUCCESS, Kind.ACK, 3)
    assert ended.record is not None
    assert (value_of(ended.record), ended.record.attempt, ended.record.meta) == (3, 4, {})
    assert 0 < ended.runtime <= time.perf_counter() - began
    outcome = ended.outcome(7, 60.0)
    assert (outcome.tag, outcome.kind, outcome.task_id, outcome.ttl) == (7, Kind.ACK, message.headers["id"], 60.0)
    assert outcome.record == ended.record.encode()


def test_a_task_that_raises(app: Umbel) -> None:
    @app.task(name="boom")
    def boom() -> None:
        raise KeyError("gone", 3)

    boom.delay()
    ended = execute(app, take_one(app))
    assert (ended.state, ended.kind) == (states.FAILURE, Kind.ACK)
    error = error_of(ended)
    assert isinstance(error, KeyError)
    assert error.args == ("gone", 3)
    assert ended.record is not None
    trace = ended.record.meta["traceback"]
    assert trace.splitlines()[-1] == "KeyError: ('gone', 3)"
    assert "execution.py" not in trace
    assert ended.record.meta["worker"] == "w1"


@pytest.mark.parametrize("throws", [KeyError, (OSError, LookupError)])
def test_failures_that_a_task_announces_are_expected(app: Umbel, throws: Any) -> None:
    @app.task(name="find", throws=throws)
    def find(error: str) -> None:
        raise {"key": KeyError, "value": ValueError}[error]

    find.delay("key")
    find.delay("value")
    assert [(e.state, e.expected) for e in (execute(app, m) for m in take(app))] == [
        ("FAILURE", True),
        ("FAILURE", False),
    ]


def test_a_task_that_exits_has_failed_and_its_worker_lives_on(app: Umbel) -> None:
    @app.task(name="leave")
    def leave() -> None:
        raise SystemExit(3)

    leave.delay()
    ended = execute(app, take_one(app))
    assert ended.state == states.FAILURE
    assert str(error_of(ended)) == "builtins.SystemExit: 3"


@pytest.mark.parametrize("end", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
def test_nothing_that_a_task_raises_ends_its_worker(app: Umbel, end: type[BaseException]) -> None:
    @app.task(name="end")
    def end_all() -> None:
        raise end

    end_all.delay()
    assert execute(app, take_one(app)).state == states.FAILURE


def test_an_exception_whose_arguments_fail_while_they_are_encoded(app: Umbel) -> None:
    class Trap:
        def __json__(self) -> None:
            raise ZeroDivisionError

        def __repr__(self) -> str:
            raise ZeroDivisionError

    @app.task(name="trap")
    def trap(returned: bool) -> Trap:
        if returned:
            return Trap()
        raise ValueError(Trap())

    for returned in (True, False):
        trap.delay(returned)
    first, second = (execute(app, message) for message in take(app))
    assert isinstance(error_of(first), ZeroDivisionError)
    assert repr(error_of(second)) == "ValueError('<Trap>')"


@pytest.mark.parametrize("headers", [{"expires": "soon"}, {"retries": "x"}, {"content_type": []}, {"delay": {}}])
def test_headers_that_make_no_sense_end_nobody(app: Umbel, headers: dict[str, Any]) -> None:
    make_flaky(app)
    message = Message({"id": "i", "task": "gone" if "delay" in headers else "flaky", **headers}, b"[[],{}]")
    assert execute(app, message, NOW).state == states.FAILURE


def test_what_the_task_sees_of_its_request(app: Umbel) -> None:
    seen: dict[str, Any] = {}

    @app.task(name="look", bind=True)
    def look(self: Task[..., Any], x: int) -> None:
        request = self.request
        seen.update({name: getattr(request, name) for name in dir(request) if not name.startswith("_")})
        seen["get"] = request.get("tenant_that_is_not_there", "none")
        assert current_task.name == "look"

    look.apply_async((1,), headers={"tenant": "a"}, time_limit=5, expires=60, countdown=0, priority=8)
    message = take_one(app)
    message.headers["retries"] = 2
    message.suspect = 1
    assert execute(app, message).state == states.SUCCESS
    assert seen["id"] == seen["root_id"] == seen["correlation_id"] == message.headers["id"]
    assert (seen["retries"], seen["args"], seen["kwargs"], seen["hostname"]) == (2, [1], {}, "w1")
    assert (seen["headers"], seen["timelimit"], seen["priority"]) == ({"tenant": "a"}, (5, None), 8)
    assert seen["delivery_info"] == {"exchange": "", "routing_key": "default", "priority": 8, "redelivered": True}
    assert seen["expires"].timestamp() == pytest.approx(message.enqueued_ms / 1000 + 60)
    assert (seen["eta"], seen["parent_id"], seen["called_directly"], seen["is_eager"]) == (None, None, False, False)
    assert seen["get"] == "none"
    # And nothing of it is left behind
    assert look.request.called_directly
    assert look.request.id is None
    assert not current_task


def test_a_task_that_is_called_by_another_has_no_request(app: Umbel) -> None:
    @app.task(name="inner", bind=True)
    def inner(self: Task[..., Any]) -> bool:
        return self.request.called_directly

    @app.task(name="outer")
    def outer() -> list[bool]:
        return [inner(), inner.request.called_directly, current_task.request.called_directly]

    outer.delay()
    assert execute(app, take_one(app)).value == [True, True, False]


def test_an_expired_message_is_not_run(app: Umbel) -> None:
    @app.task(name="late", expires=10)
    def late() -> None: ...

    late.delay()
    message = take_one(app)
    sent = message.enqueued_ms / 1000
    assert execute(app, message, sent + 9.9).state == states.SUCCESS
    ended = execute(app, message, sent + 10.1)
    assert (ended.state, ended.kind) == (states.REVOKED, Kind.ACK)
    assert isinstance(error_of(ended), TaskRevokedError)
    assert str(error_of(ended)) == "expired"


def test_a_result_that_cannot_be_carried_is_a_failure(app: Umbel) -> None:
    @app.task(name="odd")
    def odd() -> object:
        return {"file": open}

    odd.delay()
    ended = execute(app, take_one(app))
    assert ended.state == states.FAILURE
    error = error_of(ended)
    assert isinstance(error, EncodeError)
    assert "odd returned a value that at ['file'] is an object of type builtin_function" in str(error)


def test_exceptions_come_back_whatever_they_hold(app: Umbel) -> None:
    class Local(Exception):
        def __init__(self, a: int, *, b: int) -> None:
            super().__init__(a, object())

        def __str__(self) -> str:
            raise ZeroDivisionError

    @app.task(name="odd")
    def odd() -> None:
        raise Local(1, b=2)

    odd.delay()
    error = error_of(execute(app, take_one(app)))
    assert isinstance(error, RemoteError)
    assert "Local" in str(error)
    assert "cannot be shown: ZeroDivisionError" in str(error)


def test_ignore_ends_a_task_without_a_record(app: Umbel) -> None:
    @app.task(name="skip")
    def skip() -> None:
        raise Ignore

    skip.delay()
    ended = execute(app, take_one(app))
    assert (ended.state, ended.kind, ended.record) == (states.IGNORED, Kind.ACK, None)


def test_reject_buries_or_gives_back(app: Umbel) -> None:
    @app.task(name="refuse")
    def refuse(requeue: bool) -> None:
        raise Reject("not for me", requeue=requeue)

    refuse.delay(False)
    refuse.delay(True)
    dead, back = (execute(app, message) for message in take(app))
    assert (dead.kind, back.kind, back.record) == (Kind.DEAD, Kind.GIVE_BACK, None)
    assert back.delay > 0
    assert dead.reason is not None
    assert (dead.reason["reason"], dead.reason["message"], dead.reason["task"]) == ("Rejected", "not for me", "refuse")
    assert isinstance(error_of(dead), Reject)
