"""How a delivery ends, whatever the task does: states, records, retries, dead letters."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import pytest
from tests.unit.app_tasks.sent import take, take_one

from umbel import Ignore, Reject, SoftTimeLimitExceeded, Task, Umbel, awaiting, current_task, states
from umbel.broker.base import Kind
from umbel.errors import (
    EncodeError,
    InvalidTaskError,
    MaxRetriesExceededError,
    NotRegistered,
    Retry,
    TaskRevokedError,
)
from umbel.execution import Execution, run
from umbel.message import Message
from umbel.result import exception_of, value_of

NOW = 1_800_000_000.0


def execute(app: Umbel, message: Message, now: float | None = None, **more: Any) -> Execution:
    """Run a message as a worker does, at the time when it was sent unless said otherwise."""
    if now is None:
        now = message.enqueued_ms / 1000
    return run(app, message, now=now, hostname="w1", queue="default", **more)


def error_of(ended: Execution) -> BaseException:
    """Return the stored exception."""
    assert ended.record is not None
    return exception_of(ended.record)


def test_a_task_that_returns(app: Umbel) -> None:
    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    add.delay(1, y=2)
    message = take_one(app)
    message.attempt = 4
    ended = execute(app, message)
    assert (ended.state, ended.kind, ended.value) == (states.SUCCESS, Kind.ACK, 3)
    assert ended.record is not None
    assert (value_of(ended.record), ended.record.attempt, ended.record.meta) == (3, 4, {})
    assert 0 < ended.runtime < 1
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
    _flaky(app)
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


def test_a_coroutine_function_is_run_to_its_end(app: Umbel) -> None:
    @app.task(name="wait")
    async def wait(x: int) -> int:
        await asyncio.sleep(0)
        return x * 2 if not current_task.request.called_directly else -1

    wait.delay(3)
    wait.delay(4)
    assert [execute(app, message).value for message in take(app)] == [6, 8]

    async def inside_of_a_loop() -> int:
        return wait.apply((5,)).get()

    assert asyncio.run(inside_of_a_loop()) == 10


@pytest.mark.parametrize("in_worker", [True, False])
def test_a_soft_limit_cancels_a_coroutine_and_leaves_nothing_of_it(app: Umbel, in_worker: bool) -> None:
    log: list[str] = []

    @app.task(name="sleep")
    async def sleep(seconds: float) -> str:
        try:
            await asyncio.sleep(seconds)
        finally:
            log.append("cleaned up")
        return "slept"

    def strike(*_: object) -> None:
        raise SoftTimeLimitExceeded("over")

    app.is_worker = in_worker
    sleep.delay(60)
    sleep.delay(0)
    first, second = take(app)
    before = signal.signal(signal.SIGALRM, strike)
    try:
        ended = execute(
            app,
            first,
            on_started=lambda request: signal.setitimer(signal.ITIMER_REAL, 0.05),
            on_ended=lambda: signal.setitimer(signal.ITIMER_REAL, 0),
        )
    finally:
        signal.signal(signal.SIGALRM, before)
    assert isinstance(error_of(ended), SoftTimeLimitExceeded)
    assert log == ["cleaned up"]
    assert execute(app, second).value == "slept"
    _close_loop()


def test_what_a_coroutine_leaves_running_is_cancelled(app: Umbel) -> None:
    log: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    @app.task(name="start")
    async def start() -> None:
        log.append("started")
        start.kept = asyncio.create_task(background())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    app.is_worker = True
    start.delay()
    start.delay()
    for message in take(app):
        assert execute(app, message).state == states.SUCCESS
    assert log == ["started", "cancelled"] * 2
    _close_loop()


def _close_loop() -> None:
    """Close the loop that a worker would keep until it ends."""
    runner = getattr(awaiting._local, "runner", None)
    if runner is not None:
        awaiting._local.runner = None
        runner.close()


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
    assert type(error).__name__ == "RemoteError"
    assert "Local" in str(error)
    assert "cannot be shown: ZeroDivisionError" in str(error)


# Results that nobody wants


@pytest.mark.parametrize("where", ["task", "call", "setting"])
def test_ignored_results_are_not_stored(app: Umbel, where: str) -> None:
    @app.task(name="quiet", ignore_result=True if where == "task" else None)
    def quiet(fail: bool) -> int:
        return 1 // (not fail)

    app.conf.task_ignore_result = where == "setting"
    for fail in (False, True):
        quiet.apply_async((fail,), ignore_result=True if where == "call" else None)
    good, bad = (execute(app, message) for message in take(app))
    assert (good.state, good.record, bad.state, bad.record) == (states.SUCCESS, None, states.FAILURE, None)


def test_failures_of_ignored_results_are_stored_on_request(app: Umbel) -> None:
    @app.task(name="quiet", ignore_result=True, store_errors_even_if_ignored=True)
    def quiet() -> None:
        raise ValueError("x")

    quiet.delay()
    assert repr(error_of(execute(app, take_one(app)))) == "ValueError('x')"


def test_an_ignored_result_can_be_wanted_by_a_call(app: Umbel) -> None:
    @app.task(name="quiet", ignore_result=True)
    def quiet() -> int:
        return 1

    quiet.apply_async(ignore_result=False)
    assert execute(app, take_one(app)).record is not None


def test_extended_results(app: Umbel) -> None:
    @app.task(name="add")
    def add(x: int, y: int = 0) -> int:
        return 1 // x

    app.conf.result_extended = True
    add.delay(1, y=2)
    add.delay(0)
    good, bad = (execute(app, message) for message in take(app))
    assert good.record is not None
    assert bad.record is not None
    expected = {"name": "add", "worker": "w1", "retries": 0, "queue": "default", "args": [1], "kwargs": {"y": 2}}
    assert good.record.meta == expected
    assert bad.record.meta["args"] == [0]


def test_a_setting_that_changes_counts_for_the_next_task_of_that_app_only(app: Umbel) -> None:
    other = Umbel("other", broker="memory://executing-other", set_as_current=False)
    for each in (app, other):
        each.task(name="one")(lambda: 1)

    def is_extended(of: Umbel) -> bool:
        of.tasks["one"].delay()
        ended = execute(of, take_one(of))
        assert ended.record is not None
        return "args" in ended.record.meta

    assert [is_extended(each) for each in (app, other, app)] == [False, False, False]
    app.conf.result_extended = True
    assert [is_extended(each) for each in (app, other, app)] == [True, False, True]
    app.conf.result_extended = False
    assert not is_extended(app)


# What a task says of its end


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


# Retries


def _flaky(app: Umbel, **options: Any) -> Task[..., Any]:
    @app.task(name="flaky", bind=True, **options)  # type: ignore[arg-type]
    def flaky(self: Task[..., Any], **how: Any) -> str:
        raise self.retry(**how)

    return flaky


def test_a_retry_is_the_next_message(app: Umbel) -> None:
    _flaky(app).apply_async(kwargs={"countdown": 3, "priority": 9, "time_limit": 4}, headers={"a": 1}, expires=100)
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
    _flaky(app, max_retries=2).delay()
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
    _flaky(app).delay(queue="other")
    error = error_of(execute(app, take_one(app)))
    assert isinstance(error, TypeError)
    assert "a retry stays in its queue" in str(error)


def test_a_retry_of_a_direct_call_raises_the_reason(app: Umbel) -> None:
    flaky = _flaky(app)
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


# Messages that no task runs


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
        (b"x", "application/x-pickle", "cannot be read here"),
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
    _flaky(app)
    message.headers["task"] = "flaky"
    assert execute(app, message, NOW).outcome(1, 1.0).reply_to is None


# The worker's hooks


def test_the_hooks_enclose_the_users_code_and_nothing_else(app: Umbel) -> None:
    log: list[str] = []

    @app.task(name="work", bind=True)
    def work(self: Task[..., Any], how: str) -> None:
        log.append("work")
        if how == "fail":
            raise ValueError
        if how == "retry":
            self.retry()

    for how in ("return", "fail", "retry"):
        log.clear()
        work.delay(how)
        execute(
            app,
            take_one(app),
            on_started=lambda request: log.append(f"started {request.task.name}"),
            on_ended=lambda: log.append("ended"),
        )
        assert log == ["started work", "work", "ended"]


def test_a_soft_limit_may_strike_until_the_end_of_the_users_code(app: Umbel) -> None:
    app.task(name="work")(lambda: None)
    app.send_task("work")

    def strike() -> None:
        raise SoftTimeLimitExceeded("over")

    ended = execute(app, take_one(app), on_ended=strike)
    assert isinstance(error_of(ended), SoftTimeLimitExceeded)
    assert not current_task


# Handlers of task classes


class Watched(Task[..., Any]):
    """A base class that writes down what it is told."""

    log: list[tuple[Any, ...]] = []  # noqa: RUF012 - replaced by each test

    def before_start(self, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.log.append(("before", list(args), kwargs))

    def on_success(self, retval: Any, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.log.append(("success", retval))

    def on_retry(
        self, exc: BaseException, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], einfo: str
    ) -> None:
        self.log.append(("retry", type(exc).__name__))

    def on_failure(
        self, exc: BaseException, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], einfo: str
    ) -> None:
        self.log.append(("failure", type(exc).__name__, "Traceback" in einfo))

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], einfo: str | None
    ) -> None:
        self.log.append(("after", status))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (lambda self: 3, [("success", 3), ("after", "SUCCESS")]),
        (lambda self: 1 / 0, [("failure", "ZeroDivisionError", True), ("after", "FAILURE")]),
        (lambda self: self.retry(exc=OSError()), [("retry", "OSError")]),
    ],
)
def test_handlers_are_told_how_a_run_ended(
    app: Umbel, how: Callable[[Any], Any], expected: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watched, "log", [])
    app.task(name="watched", base=Watched, bind=True)(how).delay()
    execute(app, take_one(app))
    assert Watched.log == [("before", [], {}), *expected]


def test_a_handler_that_fails_changes_nothing(app: Umbel, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Task[..., Any]):
        def on_success(self, *args: Any) -> None:
            raise ZeroDivisionError

    app.task(name="broken", base=Broken)(lambda: 1).delay()
    assert execute(app, take_one(app)).state == states.SUCCESS
    assert "handler failed" in caplog.text


def test_a_class_that_wraps_the_call(app: Umbel) -> None:
    class Doubled(Task[..., Any]):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return 2 * self.run(*args, **kwargs)

    app.task(name="doubled", base=Doubled)(lambda x: x).delay(4)
    assert execute(app, take_one(app)).value == 8
