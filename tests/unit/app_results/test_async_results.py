"""Results: their states, waiting for them, and what comes back."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from umbel import AsyncResult, Umbel, allow_join_result, context, failure, rebuilding, states
from umbel.errors import ImproperlyConfigured, RemoteError, TaskRevokedError, TimeoutError
from umbel.execution import run
from umbel.message import Message
from umbel.record import Record
from umbel.serialization import json as codec


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    monkeypatch.setattr(context, "_default_app", [])
    with Umbel("shop", broker=f"memory://{uuid.uuid4().hex}") as app:
        yield app


def store(app: Umbel, state: str, value: Any = None, **meta: Any) -> AsyncResult[Any]:
    """Store a record; return its result."""
    task_id = uuid.uuid4().hex
    raw = failure.encode(value) if isinstance(value, BaseException) else codec.encode(value)
    assert app.results.store(task_id, Record(state, raw, 0, 1_700_000_000_000, meta), 60)
    return app.AsyncResult(task_id)


def test_the_states_of_a_result(app: Umbel) -> None:
    unknown = app.AsyncResult("unknown")
    assert (unknown.state, unknown.status, unknown.ready(), unknown.result) == ("PENDING", "PENDING", False, None)
    good = store(app, states.SUCCESS, [1])
    assert (good.state, good.ready(), good.successful(), good.failed(), good.result) == (
        "SUCCESS",
        True,
        True,
        False,
        [1],
    )
    assert good.date_done is not None
    assert good.date_done.isoformat() == "2023-11-14T22:13:20+00:00"
    bad = store(app, states.FAILURE, KeyError("x"), traceback="Traceback …", worker="w1")
    assert (bad.state, bad.ready(), bad.successful(), bad.failed()) == ("FAILURE", True, False, True)
    assert (repr(bad.info), bad.traceback, bad.worker) == ("KeyError('x')", "Traceback …", "w1")
    revoked = store(app, states.REVOKED, TaskRevokedError("revoked"))
    assert (revoked.ready(), revoked.failed(), type(revoked.result)) == (True, False, TaskRevokedError)
    custom = store(app, "PROGRESS", {"done": 3})
    assert (custom.state, custom.ready(), custom.info, custom.date_done) == ("PROGRESS", False, {"done": 3}, None)


def test_waiting_returns_or_raises(app: Umbel) -> None:
    seen: list[Any] = []
    good = store(app, states.SUCCESS, 3)
    assert good.get(timeout=1, callback=lambda *got: seen.append(got)) == 3
    assert seen == [(good.id, 3)]
    bad = store(app, states.FAILURE, KeyError("x"), traceback="the lines", worker="w1")
    with pytest.raises(KeyError) as caught:
        bad.get(timeout=20)
    assert caught.value.__notes__ == ["\nIn the worker w1:\nthe lines"]
    assert repr(bad.get(timeout=1, propagate=False)) == "KeyError('x')"
    with pytest.raises(KeyError):
        bad.maybe_throw()
    assert app.AsyncResult("unknown").maybe_throw() is None


def test_waiting_ends_when_the_result_comes(app: Umbel) -> None:
    result: AsyncResult[int] = app.AsyncResult("later")
    got: list[int] = []
    waiter = threading.Thread(target=lambda: got.append(result.get(timeout=20)))
    waiter.start()
    app.results.store("later", Record(states.SUCCESS, b"5"), 60)
    waiter.join(10)
    assert got == [5]


def test_waiting_has_an_end(app: Umbel) -> None:
    begun = time.monotonic()
    with pytest.raises(
        TimeoutError, match=r"task never \(shop.add\) did not arrive within 0.05 seconds; the task goes on"
    ):
        AsyncResult("never", task_name="shop.add", app=app).get(timeout=0.05)
    assert time.monotonic() - begun < 5


def test_a_result_can_be_awaited(app: Umbel) -> None:
    good, bad = store(app, states.SUCCESS, 3), store(app, states.FAILURE, KeyError("x"))

    async def both() -> list[Any]:
        return list(await asyncio.gather(good, bad, return_exceptions=True))

    assert list(map(repr, asyncio.run(both()))) == ["3", "KeyError('x')"]


def test_a_final_state_is_asked_for_once(app: Umbel) -> None:
    result = store(app, states.SUCCESS, 3)
    assert result.ready()
    app.results.forget(result.id)
    assert result.get(timeout=0) == 3
    result.forget()
    assert result.state == states.PENDING


@pytest.mark.parametrize("way", ["get", "await"])
def test_a_task_must_not_wait_for_another(app: Umbel, way: str) -> None:
    good = store(app, states.SUCCESS, 3)

    async def awaited() -> int:
        return int(await good)

    def task() -> int:
        return int(good.get(timeout=20)) if way == "get" else asyncio.run(awaited())

    app.task(name="wait")(task)
    message = Message({"id": "i", "task": "wait"}, b"[[],{}]")
    ended = run(app, message, now=0.0, hostname="w")
    assert isinstance(ended.exception, RuntimeError)
    assert "must not wait for the result of another task" in str(ended.exception)

    def allowed() -> int:
        with allow_join_result():
            return task()

    app.task(name="allowed")(allowed)
    message.headers["task"] = "allowed"
    assert run(app, message, now=0.0, hostname="w").value == 3
    app.task(name="told")(lambda: good.get(timeout=1, disable_sync_subtasks=False))
    message.headers["task"] = "told"
    assert run(app, message, now=0.0, hostname="w").value == 3


def test_results_are_told_apart_by_their_ids(app: Umbel) -> None:
    one, same, other = app.AsyncResult("1"), AsyncResult("1", app=app), app.AsyncResult("2")
    assert one == same == "1"
    assert one != other
    assert len({one, same, other}) == 2
    assert (str(one), repr(one), one.task_id, one.as_tuple()) == ("1", "<AsyncResult: 1>", "1", (("1", None), None))


def test_the_current_app_is_asked_unless_told_otherwise(app: Umbel) -> None:
    assert AsyncResult[Any]("1").app is app


def test_a_result_can_be_revoked(app: Umbel) -> None:
    app.AsyncResult("1").revoke()
    assert app.broker.revoked() == {"1"}


def test_progress_of_a_task(app: Umbel) -> None:
    seen = []

    @app.task(name="work", bind=True)
    def work(self: Any) -> int:
        self.update_state(state="PROGRESS", meta={"done": 1})
        result = app.AsyncResult(self.request.id)
        seen.append((result.state, result.info))
        return 3

    result = work.delay()
    run(app, Message({"id": result.id, "task": "work"}, b"[[],{}]"), now=0.0, hostname="w")
    assert seen == [("PROGRESS", {"done": 1})]
    with pytest.raises(ImproperlyConfigured, match="outside of a task needs task_id"):
        work.update_state(state="PROGRESS")
    work.update_state(task_id="other", state="SCANNED")
    assert app.AsyncResult("other").state == "SCANNED"


def test_final_states_are_not_for_tasks_to_write(app: Umbel) -> None:
    with pytest.raises(ImproperlyConfigured, match="return or raise in the task instead"):
        app.store_state("1", "SUCCESS", None)
    with pytest.raises(ImproperlyConfigured, match=r"written by self.retry\(\) only"):
        app.store_state("1", "RETRY", None)


# Exceptions


class Strange(Exception):
    """Takes more than it keeps in ``args``."""

    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"{code}: {hint}")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x", 2),
        KeyError("k"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        OSError(2, "No such file"),
        ImproperlyConfigured("x"),
        Strange(3, hint="try"),
    ],
)
def test_exceptions_keep_type_and_arguments(error: Exception) -> None:
    back = rebuilding.decode(failure.encode(error))
    assert type(back) is type(error)
    assert (back.args, str(back)) == (error.args, str(error))


def test_what_an_exception_holds_and_json_does_not_carry_is_described() -> None:
    back = rebuilding.decode(failure.encode(ValueError(sys, "\ud800")))
    assert back.args == (repr(sys), repr("\ud800"))


@pytest.mark.parametrize(
    "name",
    ["os.system", "builtins.print", "builtins.SystemExit", "nowhere.Error", "builtins", "", "subprocess.Popen", "a..b"],
)
def test_only_exceptions_are_ever_built(name: str) -> None:
    raw = codec.encode({"type": name, "message": "m", "args": ["touch /tmp/x"]})
    back = rebuilding.decode(raw)
    assert isinstance(back, RemoteError)
    assert (back.type_name, back.message) == (name, "m")


@pytest.mark.parametrize("raw", [b"", b"3", b"{", b'{"type":"x"}'])
def test_a_record_that_cannot_be_read_is_an_exception_that_says_so(raw: bytes) -> None:
    assert "its record cannot be read" in str(rebuilding.decode(raw))


def test_endless_tracebacks_are_cut_in_the_middle() -> None:
    error = ValueError("x" * 100_000)
    text = failure.traceback_of(error)
    assert len(text) < failure.MAX_TRACEBACK + 100
    assert "characters left out" in text
