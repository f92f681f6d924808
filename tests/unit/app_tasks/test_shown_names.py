"""Names and arguments as they are shown; headers and limits as a task finds them in its request."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.app_tasks.sent import take_one

from umbel import Task, Umbel
from umbel.errors import MaxRetriesExceededError, OperationalError, UmbelWarning
from umbel.testing import InMemoryWorker


@pytest.fixture
def app() -> Iterator[Umbel]:
    with Umbel("shown", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False) as app:
        yield app


def make_look(app: Umbel, *names: str, **options: Any) -> Any:
    def look(self: Task[..., Any], *args: Any, **kwargs: Any) -> Any:
        return {name: getattr(self.request, name) for name in names}

    return app.task(name="look", bind=True, **options)(look)


def run(app: Umbel, result: Any) -> Any:
    InMemoryWorker(app).run()
    return result.get(timeout=20)


def test_a_call_has_another_name(app: Umbel, caplog: pytest.LogCaptureFixture) -> None:
    look = make_look(app, "shadow")
    with caplog.at_level(logging.DEBUG, "umbel.worker"):
        assert run(app, look.apply_async(shadow="nightly")) == {"shadow": "nightly"}
    assert "nightly" in [getattr(record, "shadow", None) for record in caplog.records]
    assert run(app, look.delay()) == {"shadow": None}


def test_a_task_gives_its_calls_names(app: Umbel) -> None:
    def name(task: Task[..., Any], args: Any, kwargs: Any, options: Any) -> str:
        return f"{task.name} of {args[0]}"

    look = make_look(app, "shadow", shadow_name=name)
    assert run(app, look.delay("ada")) == {"shadow": "look of ada"}
    assert run(app, look.apply_async(("bob",))) == {"shadow": "look of bob"}
    assert run(app, look.apply_async(("bob",), shadow="mine")) == {"shadow": "mine"}


def test_a_class_gives_its_calls_names(app: Umbel) -> None:
    class Named(Task[..., Any]):
        def shadow_name(self, args: Any, kwargs: Any, options: Any) -> str:
            return "by class"

    look = make_look(app, "shadow", base=Named)
    assert run(app, look.delay()) == {"shadow": "by class"}


def test_arguments_are_shown_cut(app: Umbel) -> None:
    look = make_look(app, "argsrepr", "kwargsrepr", resultrepr_maxsize=20)
    shown = run(app, look.delay("x" * 100, y=1))
    assert shown == {"argsrepr": "('xxxxxxxxxxxxxxx...", "kwargsrepr": "{'y': 1}"}


def test_arguments_can_be_hidden(app: Umbel) -> None:
    look = make_look(app, "argsrepr", "kwargsrepr")
    shown = run(app, look.apply_async(("secret",), {"key": "secret"}, argsrepr="(<a secret>)", kwargsrepr="{<a key>}"))
    assert shown == {"argsrepr": "(<a secret>)", "kwargsrepr": "{<a key>}"}


def test_headers_are_attributes_too(app: Umbel) -> None:
    look = make_look(app, "tenant", "headers")
    assert run(app, look.apply_async(headers={"tenant": "ada"})) == {"tenant": "ada", "headers": {"tenant": "ada"}}

    @app.task(bind=True)
    def ask(self: Task[..., Any]) -> Any:
        with pytest.raises(AttributeError, match="no field 'tenant'"):
            self.request.tenant  # noqa: B018 - read for the error
        return self.request.get("tenant", "nobody")

    assert run(app, ask.delay()) == "nobody"


def test_limits_of_call_or_task(app: Umbel) -> None:
    look = make_look(app, "time_limit", "soft_time_limit", time_limit=60)
    assert run(app, look.delay()) == {"time_limit": 60, "soft_time_limit": None}
    assert run(app, look.apply_async(time_limit=30, soft_time_limit=20)) == {"time_limit": 30, "soft_time_limit": 20}


def test_the_options_of_a_request_send_it_again(app: Umbel) -> None:
    @app.task(bind=True)
    def again(self: Task[..., Any]) -> Any:
        return self.request.as_execution_options()

    sent = again.apply_async(priority=7, shadow="s", headers={"a": 1}, time_limit=9, expires=600)
    options = run(app, sent)
    assert options.pop("expires")
    assert options == {
        "task_id": sent.id,
        "root_id": sent.id,
        "queue": "default",
        "priority": 7,
        "shadow": "s",
        "headers": {"a": 1},
        "time_limit": 9,
    }
    again.apply_async(**options)
    assert take_one(app).headers["id"] == sent.id


def test_fields_that_are_kept_for_celerys_users(app: Umbel) -> None:
    look = make_look(app, "utc", "properties")
    sent = look.delay()
    shown = run(app, sent)
    assert shown["utc"] is True
    assert shown["properties"]["correlation_id"] == sent.id


def test_a_retry_policy_of_a_call_says_that_it_has_no_effect(app: Umbel) -> None:
    look = make_look(app)
    for options in ({"retry": False}, {"retry_policy": {"max_retries": 3}}):
        with pytest.warns(UmbelWarning, match="publish_timeout bounds how long a call tries"):
            look.apply_async(**options)
    look.apply_async(retry=True)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("connection", "a second broker is a second app"),
        ("producer", "a second broker is a second app"),
        ("delivery_mode", "is of AMQP"),
        ("reply_to", "the library's own business"),
        ("exchange", "use queue="),
    ],
)
def test_options_that_umbel_has_not_say_what_to_do(app: Umbel, option: str, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        make_look(app).apply_async(**{option: 1})


@pytest.mark.parametrize("inherits", [True, False])
def test_a_task_that_a_task_sends_may_have_its_priority(app: Umbel, inherits: bool) -> None:
    app.conf.task_inherit_parent_priority = inherits
    inner = make_look(app, "priority")

    @app.task
    def outer() -> str:
        return str(inner.delay().id)

    sent = outer.apply_async(priority=8)
    InMemoryWorker(app).run()
    assert app.AsyncResult(sent.get(timeout=20)).get(timeout=20) == {"priority": 8 if inherits else 5}


def test_a_class_hears_that_it_is_bound(app: Umbel) -> None:
    heard: list[Umbel] = []

    class Bound(Task[..., Any]):
        @classmethod
        def on_bound(cls, app: Umbel) -> None:
            heard.append(app)

    make_look(app, base=Bound)
    assert heard == [app]


def test_errors_are_at_hand_in_a_task() -> None:
    assert Task.MaxRetriesExceededError is MaxRetriesExceededError
    assert Task.OperationalError is OperationalError
