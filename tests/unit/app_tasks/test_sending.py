"""What a call puts on the wire, and which calls are refused before."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from tests.unit.app_tasks.sent import take, take_one

from umbel import Task, Umbel, current_task
from umbel import serialization as codecs
from umbel.errors import EncodeError, ImproperlyConfigured
from umbel.routing import route


@pytest.fixture
def add(app: Umbel) -> Task[..., Any]:
    @app.task(name="add")
    def add(x: Any, y: Any = 1, *, z: Any = 0) -> Any:
        return x

    return add


def test_a_call_says_what_to_run_and_nothing_else(app: Umbel, add: Task[..., Any]) -> None:
    result = add.delay(1, y=2)
    message = take_one(app)
    assert message.headers == {"task": "add", "id": result.id}
    assert codecs.json.decode(message.body) == [[1], {"y": 2}]
    assert message.priority == 5
    assert UUID(result.id).version == 4


def test_the_short_and_the_long_way_send_the_same(app: Umbel) -> None:
    # Given a task with everything that the short way computes beforehand
    @app.task(name="full", time_limit=9.5, soft_time_limit=3, queue="mail", priority=7, ignore_result=True)
    def full(x: int) -> None: ...

    # When it is sent both ways, from inside of another task
    @app.task(name="outer")
    def outer() -> None:
        full.delay(1)
        full.apply_async((1,))
        app.send_task("full", (1,))

    outer.apply(task_id="o", root_id="r")
    short, long, named = take(app, "mail")
    # Then the messages differ in nothing but their id and nonce
    for message in (short, long, named):
        message.headers.pop("id")
        message.nonce, message.enqueued_ms = b"", 0
    assert short == long == named
    assert short.headers == {
        "task": "full",
        "ignore_result": True,
        "timelimit": [9.5, 3],
        "root_id": "r",
        "parent_id": "o",
    }
    assert short.priority == 7


def test_options_of_a_call(app: Umbel, add: Task[..., Any]) -> None:
    result = add.apply_async(
        (1,),
        {"y": 2},
        task_id="mine",
        queue="reports",
        priority=0,
        expires=60,
        time_limit=5,
        ignore_result=True,
        headers={"tenant": "a"},
    )
    message = take_one(app, "reports")
    assert message.headers == {
        "task": "add",
        "id": "mine",
        "expires": 60.0,
        "timelimit": [5, None],
        "ignore_result": True,
        "headers": {"tenant": "a"},
    }
    assert message.priority == 0
    assert result.get() is None


def test_a_delayed_call_waits_in_the_broker(app: Umbel, add: Task[..., Any]) -> None:
    add.apply_async((1,), countdown=30)
    add.apply_async((1,), eta=datetime.now(timezone.utc) + timedelta(seconds=30))  # noqa: UP017
    assert app.broker.info("default").delayed == 2
    add.apply_async((1,), eta=datetime(2001, 1, 1))
    assert app.broker.info("default").ready == 1


def test_naive_moments_are_read_in_the_apps_zone(app: Umbel, add: Task[..., Any]) -> None:
    from umbel.publishing import seconds_until

    noon = datetime(2024, 7, 1, 12)
    now = datetime(2024, 7, 1, 9, tzinfo=timezone.utc).timestamp()  # noqa: UP017
    assert seconds_until(noon, now, "Europe/Oslo") == 3600.0
    assert seconds_until(noon, now, "UTC") == 3 * 3600.0
    assert seconds_until(-3, now, "UTC") == 0.0


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, r"add\(x, y=1, \*, z=0\) cannot be called like this: missing a required argument: 'x'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"w": 1}, "unexpected keyword argument 'w'"),
        ((1,), {"x": 1}, "multiple values for argument 'x'"),
    ],
)
@pytest.mark.parametrize("way", ["delay", "apply_async", "apply", "send_task"])
def test_arguments_that_do_not_fit_are_refused_where_they_are_given(
    app: Umbel, add: Task[..., Any], way: str, args: tuple[int, ...], kwargs: dict[str, int], message: str
) -> None:
    ways: dict[str, Any] = {
        "delay": lambda: add.delay(*args, **kwargs),
        "apply_async": lambda: add.apply_async(args, kwargs),
        "apply": lambda: add.apply(args, kwargs),
        "send_task": lambda: app.send_task("add", args, kwargs),
    }
    with pytest.raises(TypeError, match=message):
        ways[way]()
    assert app.broker.info("default").ready == 0


def test_the_check_of_arguments_can_be_left_out(app: Umbel) -> None:
    @app.task(name="loose", typing=False)
    def loose(x: int) -> None: ...

    loose.delay()  # type: ignore[call-arg]
    assert take_one(app).headers["task"] == "loose"


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((object(),), {}, r"add: argument 1 \('x'\) is an object of type object, which JSON cannot carry"),
        ((1, {"a": [open]}), {}, r"add: argument 2 \('y'\), at \['a'\]\[0\], is an object of type builtin_function"),
        ((1,), {"z": re}, r"add: argument 'z' is an object of type module"),
    ],
)
def test_an_argument_that_cannot_be_carried_is_named(
    app: Umbel, add: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    for send in (lambda: add.delay(*args, **kwargs), lambda: add.apply_async(args, kwargs)):
        with pytest.raises(EncodeError, match=message):
            send()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"prority": 1}, TypeError, "the call of add has an unknown option 'prority': did you mean 'priority'"),
        ({"priority": 11}, ValueError, "priority=11"),
        ({"countdown": 1, "eta": datetime.now()}, ValueError, "both countdown and eta; give one"),
        ({"eta": 5}, ValueError, "eta=5: give a datetime"),
        ({"chord": 1}, TypeError, "the option chord is not there yet in this version of Umbel; leave it out"),
        ({"timeout": 3}, TypeError, "publish_timeout bounds how long"),
        ({"serializer": "marshal"}, ImproperlyConfigured, "no serializer is called 'marshal'"),
        ({"headers": {"x": object()}}, EncodeError, "headers take text, numbers, lists and dicts"),
    ],
)
def test_a_wrong_option_of_a_call_is_refused(
    app: Umbel, add: Task[..., Any], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        add.apply_async((1,), **options)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ("ab", None, r"args of add must be a list or a tuple, not str: write args=\('ab',\)"),
        ((1,), [1], "must be a dict"),
    ],
)
def test_arguments_of_the_wrong_form(add: Task[..., Any], args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        add.apply_async(args, kwargs)


def test_a_change_of_settings_counts_from_the_next_call_on(app: Umbel, add: Task[..., Any]) -> None:
    add.delay(1)
    app.conf.task_default_queue = "mail"
    app.conf.task_time_limit = 3
    add.delay(1)
    assert "timelimit" not in take_one(app).headers
    assert take_one(app, "mail").headers["timelimit"] == [3.0, None]


def test_the_queue_of_a_call(app: Umbel, add: Task[..., Any]) -> None:
    # Given routes, of which the first that fits counts
    app.conf.task_routes = {"add": "by-name", "a*": "by-pattern"}
    add.delay(1)
    assert take_one(app, "by-name")
    # Then the task's own queue beats the routes, and the call's beats that
    add.queue = "own"
    app.conf.touch()
    add.delay(1)
    assert take_one(app, "own")
    add.apply_async((1,), queue="said")
    assert take_one(app, "said")
    app.send_task("abc")
    assert take_one(app, "by-pattern")
    app.send_task("xyz")
    assert take_one(app, "default")


def test_a_router_that_is_a_function_decides_each_call(app: Umbel, add: Task[..., Any]) -> None:
    app.conf.task_routes = lambda name, args, kwargs, options, task=None: {"queue": f"shard-{args[0]}", "priority": 1}
    add.delay(3)
    assert take_one(app, "shard-3").priority == 1


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        (None, (None, None)),
        ({"shop.mail.*": "mail"}, ("mail", None)),
        ({"shop.*": {"queue": "q", "priority": 3}}, ("q", 3)),
        ([("other", "x"), (re.compile(r"shop\.mail\.s"), "re")], ("re", None)),
        ([lambda *a, **k: None, {"*": "all"}], ("all", None)),
        ({"Shop.*": "case matters"}, (None, None)),
    ],
)
def test_forms_of_routes(routes: Any, expected: tuple[str | None, int | None]) -> None:
    assert route(routes, "shop.mail.send") == expected


def test_a_route_that_is_none_of_these() -> None:
    with pytest.raises(ImproperlyConfigured, match="has 'prioirty'; a route has 'queue', 'routing_key' and"):
        route({"a": {"prioirty": 1}}, "a")
    with pytest.raises(ImproperlyConfigured, match="give the name of a queue"):
        route({"a": 3}, "a")


def test_a_closed_app_connects_anew(app: Umbel, add: Task[..., Any]) -> None:
    add.delay(1)
    app.close()
    add.delay(2)
    assert len(take(app)) == 2


def test_a_batch_goes_out_at_its_end(app: Umbel, add: Task[..., Any]) -> None:
    with app.batch():
        results = [add.delay(n) for n in range(3)]
        add.apply_async((9,), queue="mail", countdown=0)
        assert app.broker.info("default").ready == 0
    assert [message.headers["id"] for message in take(app)] == [result.id for result in results]
    assert take_one(app, "mail")


def test_a_batch_that_fails_sends_nothing(app: Umbel, add: Task[..., Any]) -> None:
    with pytest.raises(ZeroDivisionError), app.batch():
        app.send_task("divided", (add.delay(1), 1 / 0))
    assert app.broker.info("default").ready == 0


def test_a_batch_is_the_matter_of_one_thread(app: Umbel, add: Task[..., Any]) -> None:
    with app.batch():
        other = threading.Thread(target=add.delay, args=(1,))
        other.start()
        other.join()
        assert app.broker.info("default").ready == 1


def test_who_waits_is_named_once_somebody_waits(app: Umbel, add: Task[..., Any]) -> None:
    future = app.results.wait("anything")
    add.delay(1)
    add.apply_async((1,))
    future.cancel()
    inbox = app.results.inbox()
    assert inbox is not None
    assert [message.headers["reply_to"] for message in take(app)] == [inbox, inbox]


def test_eager_calls_run_at_once(app: Umbel, add: Task[..., Any]) -> None:
    app.conf.task_always_eager = True
    assert add.delay(3).get() == 3
    assert add.apply_async((4,), countdown=100).get() == 4
    assert app.broker.info("default").ready == 0
    assert not current_task


def test_no_broker() -> None:
    app = Umbel(set_as_current=False)
    with pytest.raises(ImproperlyConfigured, match="no broker is set: give Umbel"):
        app.send_task("x")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redsi://h", "did you mean redis://"),
        ("amqp://user:hunter2@h", "Redis and Valkey only"),
        ("localhost:6379", "write redis://host:6379/0"),
    ],
)
def test_a_broker_that_cannot_be_used(url: str, message: str) -> None:
    app = Umbel(broker=url, set_as_current=False)
    with pytest.raises(ImproperlyConfigured, match=message) as caught:
        app.send_task("x")
    assert "hunter2" not in str(caught.value)
