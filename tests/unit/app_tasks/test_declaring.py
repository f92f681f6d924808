"""Declaring tasks: names, options, classes, shared ones."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from umbel import Task, Umbel, current_app, current_task, shared_task, sharing
from umbel.errors import AlreadyRegistered, ImproperlyConfigured, NotRegistered


@pytest.fixture
def no_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the shared tasks of the test."""
    monkeypatch.setattr(sharing, "_shared", [])


def add(x: int, y: int = 1) -> int:
    """Add."""
    return x + y


def test_a_function_becomes_a_task_named_after_its_module(app: Umbel) -> None:
    task = app.task(add)
    assert task.name == f"{__name__}.add"
    assert app.tasks[task.name] is task
    assert (task(1, 2), task.__doc__, task.app) == (3, "Add.", app)


def test_the_script_that_runs_gives_the_name_of_the_app(app: Umbel, monkeypatch: pytest.MonkeyPatch) -> None:
    def here() -> None: ...

    monkeypatch.setattr(here, "__module__", "__main__")
    assert app.task(here).name == "shop.here"
    nameless = Umbel(set_as_current=False)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/srv/mail.py", raising=False)
    assert nameless.task(here).name == "mail.here"
    monkeypatch.setattr(sharing, "_shared", [])
    assert shared_task(here).name == "mail.here"


def test_options_are_taken_from_the_decorator(app: Umbel) -> None:
    task = app.task(name="sum", max_retries=None, time_limit=3, queue="mail", priority=9, acks_late=False)(add)
    assert (task.name, task.max_retries, task.time_limit, task.queue, task.priority) == ("sum", None, 3, "mail", 9)
    assert task.acks_late is False
    assert app.task(name="other")(add).max_retries == 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_retry": 3}, TypeError, "unknown option 'max_retry': did you mean 'max_retries'"),
        ({"wibble": 3}, TypeError, "unknown option 'wibble': there are: acks_late, "),
        ({"max_retries": -1}, ValueError, "max_retries=-1: give a whole number from 0 on, or None"),
        ({"priority": 10}, ValueError, "priority=10: give a whole number from 0 to 9; 9 is served first"),
        ({"time_limit": 0}, ValueError, "give seconds above 0"),
        ({"time_limit": 3, "soft_time_limit": 3}, ValueError, "soft_time_limit=3, not below time_limit=3"),
        ({"autoretry_for": ValueError("x")}, TypeError, "give exception classes"),
        ({"ignore_result": "yes"}, ValueError, "give True or False"),
        ({"base": dict}, TypeError, "give a subclass of umbel.Task"),
        ({"shadow_name": "x"}, ValueError, "give a function"),
        ({"acks_on_failure": False}, TypeError, "raise Reject"),
        ({"rate_limit": "10/y"}, ValueError, "give a rate such as '100/m'"),
        ({"rate_limit": 0}, ValueError, "give a rate such as '100/m'"),
        ({"concurrency_limit": 0}, ValueError, "give a whole number from 1 on"),
        ({"concurrency_limt": 1}, TypeError, "did you mean 'concurrency_limit'"),
        ({"concurrency_limit": 1, "key": "z"}, ValueError, "key='z', which is no parameter of it: it has x, y"),
        ({"key": "x"}, ValueError, "no limit for it: add concurrency_limit= or rate_limit="),
        ({"unique_key": "x"}, ValueError, "is not unique: add unique=True"),
        ({"unique": True, "unique_key": "xx"}, ValueError, "did you mean 'x'"),
        ({"on_conflict": "reject"}, ValueError, "is not unique: add unique=True"),
        ({"unique": True, "on_conflict": "refuse"}, ValueError, "one of 'return-existing', 'reject', 'replace'"),
        ({"routing_key": "a.b"}, TypeError, "has no exchanges; use queue="),
        ({"retry_backoff": 0}, ValueError, "seconds of the first wait"),
    ],
)
def test_a_wrong_option_is_refused_where_it_is_written(
    app: Umbel, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        app.task(**options)(add)
    assert f"{__name__}.add" not in app.tasks


def test_no_function_is_refused(app: Umbel) -> None:
    with pytest.raises(TypeError, match=r"which is no function; write @app\.task, or"):
        app.task("name")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="is a task already"):
        app.task(app.task(add))


def test_bind_passes_the_task_itself(app: Umbel) -> None:
    @app.task(bind=True)
    def who(self: Task[..., Any], x: int) -> tuple[str, int]:
        return self.name, x

    assert who(3) == (f"{__name__}.who", 3)
    with pytest.raises(TypeError, match="bind=True and takes no parameter: write self as the first one"):
        app.task(bind=True, name="nobody")(lambda: None)  # type: ignore[misc, arg-type]


def test_a_name_is_given_to_one_function_only(app: Umbel) -> None:
    app.task(name="sum")(add)
    with pytest.raises(AlreadyRegistered, match=r"'sum' is taken by add in .*needs another one: give it with"):
        app.task(name="sum")(lambda: 0)
    # A reloaded module declares the same function anew
    again = app.task(name="sum", priority=2)(add)
    assert app.tasks["sum"] is again


def test_a_missing_task_proposes_the_nearest(app: Umbel) -> None:
    app.task(name="shop.reports.daily")(add)
    with pytest.raises(NotRegistered, match=r"no task is registered as 'shop\.report\.daily': did you mean 'shop\.rep"):
        app.tasks["shop.report.daily"]


def test_class_based_tasks(app: Umbel) -> None:
    class Mail(Task[[str], str]):
        max_retries = 7
        queue = "mail"

        def run(self, to: str) -> str:
            return f"{to} by {self.name}"

    task = app.register_task(Mail())
    assert task.name.endswith("Mail")
    assert (task.max_retries, task.queue) == (7, "mail")
    assert task.apply(("bob",)).get() == f"bob by {task.name}"
    with pytest.raises(TypeError, match="too many positional"):
        task.delay("bob", "alice")  # type: ignore[call-arg]

    class Wrong(Task[[], None]):
        priority = 11

    with pytest.raises(ValueError, match="priority=11"):
        app.register_task(Wrong)


def test_a_base_class_of_ones_own(app: Umbel) -> None:
    class Logged(Task[..., Any]):
        default_retry_delay = 5.0
        greeting = "hello"

    task = app.task(base=Logged)(add)
    assert isinstance(task, Logged)
    assert (task.default_retry_delay, task.greeting, task(1)) == (5.0, "hello", 2)


@pytest.mark.usefixtures("no_shared")
def test_a_shared_task_belongs_to_every_app(app: Umbel) -> None:
    @shared_task(bind=True)
    def whose(self: Task[..., Any]) -> tuple[str | None, str | None, str]:
        return self.app.main, current_app.main, current_task.name

    later = Umbel("later", set_as_current=False)
    name = f"{__name__}.whose"
    assert whose.name == name
    assert app.tasks[name] is later.tasks[name]
    assert whose.app is app
    assert list(whose.apply().get()) == ["shop", "shop", name]


def test_no_app_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    from umbel import context

    monkeypatch.setattr(context, "_default_app", [])
    with pytest.raises(ImproperlyConfigured, match="there is no app yet: create one with Umbel"):
        current_app.main  # noqa: B018 - read for the error
    assert not current_task


def test_tasks_are_pickled_by_name(app: Umbel) -> None:
    import pickle

    task = app.task(add)
    assert pickle.loads(pickle.dumps(task)) is task


def test_what_tasks_do_not_have_is_said(app: Umbel) -> None:
    task = app.task(add)
    with pytest.raises(AttributeError, match="has no attribute 'dealy'"):
        task.dealy(1)  # type: ignore[attr-defined]


def test_periodic_tasks_are_entries_of_the_schedule(app: Umbel) -> None:
    task = app.task(name="sum")(add)
    assert app.add_periodic_task(30.0, task, args=(1,), kwargs={"y": 2}) == "sum(1, y=2)"
    app.add_periodic_task(60, "other", name="named", queue="mail")
    assert app.conf.beat_schedule == {
        "sum(1, y=2)": {"task": "sum", "schedule": 30.0, "args": (1,), "kwargs": {"y": 2}, "options": {}},
        "named": {"task": "other", "schedule": 60, "args": (), "kwargs": {}, "options": {"queue": "mail"}},
    }


def test_the_queues_that_an_app_names(app: Umbel) -> None:
    app.task(name="a", queue="mail")(add)
    app.conf.task_routes = [{"b.*": {"queue": "reports"}}, ("c", "slow"), lambda *a, **k: None]
    assert app.queue_names() == {"default", "mail", "reports", "slow"}
