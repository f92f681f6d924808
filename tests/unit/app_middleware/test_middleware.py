"""Middleware: which hooks are called, in which order, and what they may change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from umbel import Ignore, Reject, Retry, Umbel
from umbel.context import Request
from umbel.middleware import Call, Middleware
from umbel.testing import InMemoryWorker
from umbel.verdict import Execution


class Noting(Middleware):
    """Writes down each hook."""

    def __init__(self, notes: list[str], name: str) -> None:
        self.notes, self.name = notes, name

    @contextmanager
    def _around(self, what: str) -> Iterator[None]:
        self.notes.append(f"{self.name} begins {what}")
        try:
            yield
        except BaseException as error:
            self.notes.append(f"{self.name} sees {type(error).__name__}")
            raise
        self.notes.append(f"{self.name} ends {what}")

    def publish(self, call: Call) -> AbstractContextManager[None]:
        return self._around("publish")

    def receive(self, request: Request) -> None:
        self.notes.append(f"{self.name} receive")

    def execute(self, request: Request) -> AbstractContextManager[None]:
        return self._around("execute")

    def result(self, request: Request, value: Any) -> Any:
        self.notes.append(f"{self.name} result {value}")
        return value

    def retry(self, request: Request, error: BaseException) -> BaseException:
        self.notes.append(f"{self.name} retry {type(error).__name__}")
        return error

    def ended(self, request: Request, end: Execution) -> None:
        self.notes.append(f"{self.name} ended {end.state}")


def test_the_hooks_in_their_order(app: Umbel) -> None:
    notes: list[str] = []
    app.add_middleware(Noting(notes, "outer"))
    app.add_middleware(Noting(notes, "inner"))

    @app.task
    def add(x: int, y: int) -> int:
        notes.append("runs")
        return x + y

    result = add.delay(1, 2)
    assert notes == ["outer begins publish", "inner begins publish", "inner ends publish", "outer ends publish"]
    notes.clear()
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == 3
    assert notes == [
        "outer receive",
        "inner receive",
        "outer begins execute",
        "inner begins execute",
        "runs",
        "inner ends execute",
        "outer ends execute",
        "inner result 3",
        "outer result 3",
        "inner ended SUCCESS",
        "outer ended SUCCESS",
    ]


def test_a_task_that_fails_and_one_that_is_retried(app: Umbel) -> None:
    notes: list[str] = []
    app.add_middleware(Noting(notes, "m"))

    @app.task(autoretry_for=(OSError,), max_retries=1, default_retry_delay=0)
    def away() -> None:
        raise OSError

    away.delay()
    InMemoryWorker(app).run(wait=20)
    told = [note for note in notes if "publish" not in note and "receive" not in note and "begins" not in note]
    # What runs the task again has decided before the app's own middleware is asked.
    assert told == [
        "m sees OSError",
        "m retry Retry",
        "m ended RETRY",
        "m sees OSError",
        "m retry OSError",
        "m ended FAILURE",
    ]


def test_coroutines_have_the_same_hooks(app: Umbel) -> None:
    notes: list[str] = []
    app.add_middleware(Noting(notes, "m"))

    @app.task
    async def add(x: int, y: int) -> int:
        await asyncio.sleep(0)
        return x + y

    result = add.delay(1, 2)
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == 3
    assert notes[-4:] == ["m begins execute", "m ends execute", "m result 3", "m ended SUCCESS"]


def test_what_a_publish_may_change(app: Umbel) -> None:
    class Tenant(Middleware):
        @contextmanager
        def publish(self, call: Call) -> Iterator[None]:
            call.headers["tenant"] = "acme"
            call.queue = "other"
            call.message.priority = 9
            yield

    app.add_middleware(Tenant)

    @app.task(bind=True)
    def shows(self: Any) -> Any:
        return [self.request.headers, self.request.queue, self.request.priority]

    result = shows.delay()
    InMemoryWorker(app, ["other"]).run()
    assert result.get(timeout=20) == [{"tenant": "acme"}, "other", 9]


def test_each_message_may_be_given_headers(app: Umbel) -> None:
    numbers = iter(range(100))

    class Numbered(Middleware):
        def message(self, headers: dict[str, Any]) -> None:
            headers["number"] = next(numbers)

    app.add_middleware(Numbered)

    @app.task(bind=True)
    def shows(self: Any) -> Any:
        return self.request.get("number")

    results = [shows.delay(), shows.apply_async(), (shows.si() | shows.si()).delay()]
    InMemoryWorker(app).run()
    assert [result.get(timeout=20) for result in results[:2]] == [0, 1]
    assert results[2].get(timeout=20) in (2, 3)  # the steps of a workflow are made in whatever order


def test_what_refuses_a_publish_reaches_who_sends(app: Umbel) -> None:
    class Closed(Middleware):
        def publish(self, call: Call) -> None:
            raise PermissionError(call.name)

    app.add_middleware(Closed)

    @app.task(name="shut")
    def shut() -> None: ...

    with pytest.raises(PermissionError, match="shut"):
        shut.delay()
    assert app.broker.info("default").ready == 0


@pytest.mark.parametrize(
    ("raised", "state"), [(Ignore(), "IGNORED"), (Reject("no"), "FAILURE"), (ValueError("no"), "FAILURE")]
)
def test_what_is_raised_when_a_task_is_received_is_its_end(app: Umbel, raised: Exception, state: str) -> None:
    ends: list[str] = []

    class Guard(Middleware):
        def receive(self, request: Request) -> None:
            raise raised

        def ended(self, request: Request, end: Execution) -> None:
            ends.append(end.state)

    app.add_middleware(Guard)

    @app.task
    def never() -> None:
        raise AssertionError

    never.delay()
    InMemoryWorker(app).run()
    assert ends == [state]


def test_what_surrounds_a_run_may_raise_or_swallow(app: Umbel) -> None:
    class Turns(Middleware):
        @contextmanager
        def execute(self, request: Request) -> Iterator[None]:
            try:
                yield
            except LookupError:
                pass
            except ValueError as error:
                raise KeyError("turned") from error

    app.add_middleware(Turns)

    @app.task
    def raises(kind: str) -> str:
        raise LookupError if kind == "lookup" else ValueError

    swallowed, turned = raises.delay("lookup"), raises.delay("value")
    InMemoryWorker(app).run()
    assert swallowed.get(timeout=20) is None
    with pytest.raises(KeyError, match="turned"):
        turned.get(timeout=20)


def test_results_may_be_changed(app: Umbel) -> None:
    class Twice(Middleware):
        def result(self, request: Request, value: Any) -> Any:
            return value * 2

    app.add_middleware(Twice)

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    assert add.apply((1, 2)).get() == 6


def test_another_run_may_be_decided(app: Umbel) -> None:
    class Patient(Middleware):
        def retry(self, request: Request, error: BaseException) -> BaseException:
            if isinstance(error, ConnectionError) and request.retries < 2:
                return Retry(exc=error, when=0)
            return error

    app.add_middleware(Patient)
    runs = []

    @app.task
    def connects() -> str:
        runs.append(1)
        if len(runs) < 3:
            raise ConnectionError
        return "done"

    result = connects.delay()
    InMemoryWorker(app).run(wait=20)
    assert result.get(timeout=20) == "done"
    assert len(runs) == 3


def test_what_fails_in_the_last_hook_is_logged(app: Umbel, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Middleware):
        def ended(self, request: Request, end: Execution) -> None:
            raise LookupError

    app.add_middleware(Broken)

    @app.task
    def fine() -> int:
        return 1

    result = fine.delay()
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == 1
    assert "middleware.failed" in caplog.text


def test_headers_of_all_calls_are_computed_once(app: Umbel) -> None:
    asked: list[Any] = []

    class Region(Middleware):
        def headers(self, task: Any, conf: Any) -> dict[str, Any]:
            asked.append(task)
            return {"region": "north"}

    app.add_middleware(Region)

    @app.task(bind=True)
    def shows(self: Any) -> Any:
        return self.request.get("region")

    results = [shows.delay() for _ in range(5)]
    assert asked == [shows]
    InMemoryWorker(app).run()
    assert {result.get(timeout=20) for result in results} == {"north"}


def test_without_middleware_a_run_calls_no_hook(app: Umbel) -> None:
    assert not app.hooks.runs
    assert not app.hooks.publish

    class Results(Middleware):
        def result(self, request: Request, value: Any) -> Any:
            return value

    app.add_middleware(Results)
    assert app.hooks.runs
    assert not app.hooks.publish
