"""Retries, those that a task asks for and automatic ones."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from tests.unit.app_tasks.executing import error_of, execute, make_flaky
from tests.unit.app_tasks.sent import take, take_one

from umbel import Task, Umbel, states
from umbel.broker.base import Kind
from umbel.errors import (
    MaxRetriesExceededError,
    Retry,
)


def test_a_retry_is_the_next_message(app: Umbel) -> None:
    make_flaky(app).apply_async(kwargs={"countdown": 3, "priority": 9, "time_limit": 4}, headers={"a": 1}, expires=100)
    message = take_one(app)
    first = execute(app, message, message.enqueued_ms / 1000 + 2.0)
    assert (first.state, first.kind, first.delay) == (states.RETRY, Kind.RETRY, 3.0)
    assert first.record is not None
    assert first.record.state == states.RETRY
    following = first.retry
    assert following is not None
    assert following.headers["id"] == message.headers["id"]
    assert (following.headers["retries"], following.attempt, following.priority) == (1, 1, 9)
    assert following.headers["delay"] == pytest.approx(5.0, abs=0.1)
    assert following.headers["timelimit"] == [4, None]
    assert (following.headers["headers"], following.headers["expires"]) == ({"a": 1}, 100.0)
    assert (following.body, following.enqueued_ms) == (message.body, message.enqueued_ms)
    assert following.nonce != message.nonce
    # The original is left as it was
    assert "retries" not in message.headers


def test_retries_come_to_an_end(app: Umbel) -> None:
    make_flaky(app, max_retries=2).delay()
    ended = execute(app, take_one(app))
    kinds = []
    while ended.retry is not None:
        kinds.append((ended.kind, ended.retry.headers["retries"], ended.delay))
        ended = execute(app, ended.retry)
    assert kinds == [(Kind.RETRY, 1, 180.0), (Kind.RETRY, 2, 180.0)]
    error = error_of(ended)
    assert isinstance(error, MaxRetriesExceededError)
    assert "flaky[" in str(error)
    assert "was retried 2 times" in str(error)


def test_the_last_failure_is_the_reason_that_was_given(app: Umbel) -> None:
    @app.task(name="fetch", bind=True, max_retries=0)
    def fetch(self: Task[..., Any]) -> None:
        try:
            1 / 0  # noqa: B018 - raises
        except ZeroDivisionError as error:
            raise self.retry(exc=error) from None

    fetch.delay()
    assert isinstance(error_of(execute(app, take_one(app))), ZeroDivisionError)


def test_a_retry_with_other_arguments(app: Umbel) -> None:
    @app.task(name="halve", bind=True)
    def halve(self: Task[..., Any], x: int, *, by: int = 1) -> int:
        if by == 1:
            self.retry((x // 2,), {"by": 2}, countdown=0)
        return x

    halve.delay(8)
    first = execute(app, take_one(app))
    assert first.retry is not None
    assert orjson.loads(first.retry.body) == [[4], {"by": 2}]
    assert execute(app, first.retry).value == 4


def test_a_retry_without_raising_happens_at_the_end(app: Umbel) -> None:
    @app.task(name="later", bind=True)
    def later(self: Task[..., Any]) -> str:
        assert isinstance(self.retry(throw=False, countdown=1), Retry)
        return "cleaned up"

    later.delay()
    ended = execute(app, take_one(app))
    assert (ended.kind, ended.delay) == (Kind.RETRY, 1.0)


@pytest.mark.parametrize("how", [{"countdown": "soon"}, {"countdown": float("nan")}, {"eta": 3}, {"priority": 10}])
def test_options_of_a_retry_that_do_not_fit(app: Umbel, how: dict[str, Any]) -> None:
    @app.task(name="again", bind=True)
    def again(self: Task[..., Any]) -> None:
        self.retry(**how)

    again.delay()
    assert f"a retry of again cannot have {next(iter(how))}=" in str(error_of(execute(app, take_one(app))))


def test_options_that_a_retry_does_not_take(app: Umbel) -> None:
    make_flaky(app).delay(queue="other")
    error = error_of(execute(app, take_one(app)))
    assert isinstance(error, TypeError)
    assert "a retry stays in its queue" in str(error)


def test_a_retry_of_a_direct_call_raises_the_reason(app: Umbel) -> None:
    flaky = make_flaky(app)
    with pytest.raises(ZeroDivisionError):
        flaky(exc=ZeroDivisionError())
    with pytest.raises(Retry, match="nobody runs it again"):
        flaky()


def test_automatic_retries(app: Umbel) -> None:
    @app.task(
        name="auto",
        autoretry_for=(OSError,),
        dont_autoretry_for=[FileNotFoundError],
        retry_kwargs={"max_retries": 1, "countdown": 7},
    )
    def auto(kind: str) -> None:
        raise {"os": OSError, "missing": FileNotFoundError, "value": ValueError}[kind]("x")

    for kind in ("os", "missing", "value"):
        auto.delay(kind)
    again, missing, value = (execute(app, message) for message in take(app))
    assert (again.kind, again.delay) == (Kind.RETRY, 7.0)
    assert isinstance(error_of(again), OSError)
    assert (missing.state, value.state) == (states.FAILURE, states.FAILURE)
    assert again.retry is not None
    last = execute(app, again.retry)
    assert repr(error_of(last)) == "OSError('x')"


@pytest.mark.parametrize(
    ("options", "low", "high"),
    [
        ({"retry_backoff": True, "retry_jitter": False}, 8.0, 8.0),
        ({"retry_backoff": 5, "retry_jitter": False}, 40.0, 40.0),
        ({"retry_backoff": 5, "retry_jitter": False, "retry_backoff_max": 12}, 12.0, 12.0),
        ({"retry_backoff": True}, 0.0, 8.0),
        ({"default_retry_delay": 33}, 33.0, 33.0),
    ],
)
def test_the_wait_before_an_automatic_retry(app: Umbel, options: dict[str, Any], low: float, high: float) -> None:
    @app.task(name="auto", autoretry_for=(ValueError,), max_retries=10, **options)  # type: ignore[untyped-decorator]
    def auto() -> None:
        raise ValueError

    auto.delay()
    message = take_one(app)
    message.headers["retries"] = 3
    assert low <= execute(app, message).delay <= high
