"""``apply`` and ``task_always_eager``: as a worker would, but here and now."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from umbel import EagerResult, Task, Umbel, states
from umbel.errors import EncodeError


def test_apply_returns_what_the_task_returned(app: Umbel) -> None:
    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    result = add.apply((1,), {"y": 2}, task_id="mine")
    assert isinstance(result, EagerResult)
    assert (result.id, result.get(), result.result, result.state) == ("mine", 3, 3, states.SUCCESS)
    assert result.ready()
    assert result.successful()
    assert asyncio.run(_awaited(result)) == 3


async def _awaited(result: EagerResult[Any]) -> Any:
    return await result


def test_apply_keeps_the_exception_itself(app: Umbel) -> None:
    class Odd(Exception):
        def __init__(self, a: int, b: object) -> None:
            super().__init__("text")

    @app.task(name="fail")
    def fail() -> None:
        raise Odd(1, socket)

    result = fail.apply()
    assert result.failed()
    assert isinstance(result.result, Odd)
    assert result.get(propagate=False) is result.result  # type: ignore[func-returns-value]
    assert result.traceback is not None
    assert "Odd: text" in result.traceback
    with pytest.raises(Odd):
        result.get()
    with pytest.raises(Odd):
        fail.apply(throw=True)


def test_retries_follow_at_once_with_their_numbers(app: Umbel) -> None:
    seen = []

    @app.task(name="flaky", bind=True, max_retries=2)
    def flaky(self: Task[..., Any], needed: int) -> int:
        seen.append((self.request.id, self.request.retries, self.request.is_eager))
        if self.request.retries < needed:
            raise self.retry(countdown=1000)
        return needed

    assert flaky.apply((2,), task_id="x").get() == 2
    assert seen == [("x", 0, True), ("x", 1, True), ("x", 2, True)]
    assert flaky.apply((3,)).failed()


def test_what_a_worker_would_not_get_apply_does_not_pass(app: Umbel) -> None:
    @app.task(name="kind")
    def kind(x: Any) -> str:
        return type(x).__name__

    assert kind.apply(((1, 2),)).get() == "list"
    with pytest.raises(EncodeError, match="argument 1 \\('x'\\)"):
        kind.apply((object(),))


def test_always_eager_can_raise(app: Umbel) -> None:
    @app.task(name="fail")
    def fail() -> None:
        raise ZeroDivisionError

    app.conf.update(task_always_eager=True)
    assert fail.delay().state == states.FAILURE
    app.conf.task_eager_propagates = True
    with pytest.raises(ZeroDivisionError):
        fail.delay()


def test_eager_results_can_be_stored(app: Umbel) -> None:
    app.conf.update(task_store_eager_result=True)
    task = app.task(name="one")(lambda: 1)
    assert app.AsyncResult(task.apply().id).get(timeout=20) == 1


def test_eager_tasks_may_wait_for_eager_tasks(app: Umbel) -> None:
    app.conf.update(task_always_eager=True)
    inner = app.task(name="inner")(lambda: 2)
    outer = app.task(name="outer")(lambda: inner.delay().get() * 2)
    assert outer.delay().get() == 4


def test_ignored_results_are_there_for_the_caller_of_apply(app: Umbel) -> None:
    @app.task(name="quiet", ignore_result=True)
    def quiet(fail: bool) -> int:
        return 1 // (not fail)

    assert quiet.apply((False,)).state == states.SUCCESS
    assert isinstance(quiet.apply((True,)).result, ZeroDivisionError)
