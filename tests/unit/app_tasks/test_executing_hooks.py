"""What is called around a task: the hooks of the worker and the handlers of task classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from tests.unit.app_tasks.executing import error_of, execute
from tests.unit.app_tasks.sent import take_one

from umbel import SoftTimeLimitExceeded, Task, Umbel, current_task, states


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
    assert "handler.failed" in caplog.text


def test_a_class_that_wraps_the_call(app: Umbel) -> None:
    class Doubled(Task[..., Any]):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return 2 * self.run(*args, **kwargs)

    app.task(name="doubled", base=Doubled)(lambda x: x).delay(4)
    assert execute(app, take_one(app)).value == 8
