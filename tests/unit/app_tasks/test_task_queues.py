"""``task_queues``, ``task_create_missing_queues``, and routes by name, pattern, path, object and routing key."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.app_tasks.sent import take_one

from umbel import Queue, Umbel
from umbel.errors import ImproperlyConfigured, QueueNotFound, UmbelWarning
from umbel.testing import InMemoryWorker


@pytest.fixture
def app() -> Iterator[Umbel]:
    with Umbel("routed", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False) as app:
        app.task(name="shop.mail")(lambda: None)
        yield app


class Router:
    def route_for_task(self, task: str, args: Any = None, kwargs: Any = None) -> Any:
        return {"queue": "by-object"} if task == "shop.mail" else None


def by_function(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **more: Any) -> Any:
    return "by-function"


@pytest.mark.parametrize(
    ("routes", "queue"),
    [
        ({"shop.mail": "exact"}, "exact"),
        ({"shop.*": {"queue": "glob"}}, "glob"),
        ([(re.compile(r"shop\.(mail|sms)"), "regex")], "regex"),
        ([[("other.*", "no"), ("shop.*", {"queue": Queue("nested")})]], "nested"),
        (by_function, "by-function"),
        ([{"other": "no"}, by_function], "by-function"),
        (f"{__name__}:by_function", "by-function"),
        ([f"{__name__}:by_function"], "by-function"),
        (Router(), "by-object"),
        (f"{__name__}:Router", "by-object"),
        ({"shop.mail": {"queue": "named", "routing_key": "x", "exchange": "y"}}, "named"),
        ({"shop.mail": {"routing_key": "letters"}}, "post"),
        ({"shop.mail": {"routing_key": "post"}}, "post"),
        ({"shop.mail": {"routing_key": "nowhere"}}, "default"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.parametrize("send", ["delay", "apply_async"])
def test_a_route_leads_to_a_queue(app: Umbel, routes: Any, queue: str, send: str) -> None:
    app.conf.update(task_routes=routes, task_queues=[Queue("post", routing_key="letters"), "default"])
    getattr(app.tasks["shop.mail"], send)()
    assert take_one(app, queue).headers["task"] == "shop.mail"


def test_a_call_wins_over_routes_and_may_name_a_queue_object(app: Umbel) -> None:
    app.conf.task_routes = {"shop.mail": "routed"}
    app.tasks["shop.mail"].apply_async(queue=Queue("mine"))
    assert take_one(app, "mine")


@pytest.mark.parametrize(
    "queues",
    [
        ["mail", "reports"],
        ("mail", Queue("reports")),
        {"mail": {}, "reports": {"routing_key": "r", "exchange": "e", "durable": True}},
        [{"name": "mail"}, {"name": "reports", "exchange_type": "topic"}],
        [SimpleNamespace(name="mail", routing_key="m"), SimpleNamespace(name="reports", routing_key=None)],
        "mail, reports",
    ],
    ids=["names", "objects", "dict", "dicts", "kombu's", "text"],
)
def test_workers_consume_what_is_listed(app: Umbel, queues: Any) -> None:
    app.conf.task_queues = queues
    assert [queue.name for queue in app.conf.task_queues] == ["mail", "reports"]
    assert app.consumed_queues() == {"mail", "reports"}
    result = app.tasks["shop.mail"].apply_async(queue="mail")
    InMemoryWorker(app).run()
    assert result.get(timeout=20) is None


@pytest.mark.parametrize(
    ("queues", "said"),
    [
        (3, "give a list of names"),
        ([3], "task_queues holds 3"),
        ([{}], "which has no name"),
        ({"mail": {"prioirty": 3}}, "the queue 'mail' of task_queues has 'prioirty'"),
    ],
)
def test_what_is_no_queue_is_refused(app: Umbel, queues: Any, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        app.conf.task_queues = queues


def test_a_limit_that_would_be_missed_is_warned_of(app: Umbel) -> None:
    with pytest.warns(UmbelWarning, match="max_length of the queue 'mail' .* use `umbel queues set"):
        app.conf.task_queues = {"mail": {"max_length": 100}}


@pytest.mark.parametrize("send", ["delay", "apply_async", "send_task"])
def test_a_queue_that_is_not_listed_is_refused_where_that_is_wanted(app: Umbel, send: str) -> None:
    app.conf.update(task_queues=["mail"], task_create_missing_queues=False, task_routes={"shop.mail": "mial"})
    calls: dict[str, Any] = {
        "delay": app.tasks["shop.mail"].delay,
        "apply_async": app.tasks["shop.mail"].apply_async,
        "send_task": lambda: app.send_task("shop.mail"),
    }
    call = calls[send]
    with pytest.raises(QueueNotFound, match=r"the queue 'mial' is not in task_queues.*did you mean 'mail'"):
        call()
    app.conf.task_routes = {"shop.mail": "mail"}
    call()
    assert take_one(app, "mail")
    app.conf.task_routes = None
    call()  # the default queue is always there
    assert take_one(app)
