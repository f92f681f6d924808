"""What a signature binds arguments and results to: neither can be moved, and the headers that matter cannot be changed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.signers import Signer
from tests.unit.app_tasks.sent import take, take_one

from umbel import Reject, Task, Umbel, chain, chord, group, publishing, states
from umbel import serialization as codecs
from umbel.beat.appsource import entries_of
from umbel.beat.entry import RunIds
from umbel.canvas import Signature
from umbel.control.taskinfo import task_info
from umbel.errors import ContentDisallowed, EncodeError, SecurityError
from umbel.message import decode
from umbel.middleware import Middleware
from umbel.record import Record
from umbel.testing import InMemoryWorker

Apps = Callable[..., Umbel]


@pytest.fixture
def app(signing_app: Apps, tmp_path: Path) -> Umbel:
    return signing_app(Signer(tmp_path, "ada"))


def _resent(app: Umbel, **headers: Any) -> Any:
    """Put the message that waits into the queue again, under other headers, as who can write to Redis could."""
    message = take_one(app)
    changed = {name: value for name, value in {**message.headers, **headers}.items() if value is not ...}
    return publishing.publish(app, "default", replace(message, headers=changed), 0.0)


@pytest.mark.parametrize(
    ("options", "forged", "said"),
    [
        ({}, {"id": "another"}, "holds what was signed for 'add'"),
        ({}, {"task": "drop_everything"}, "signed for 'add'"),
        ({"expires": 60}, {"expires": 1e9}, "were changed after it was signed"),
        ({"expires": 60}, {"expires": ...}, "were changed after it was signed"),
        ({"time_limit": 5}, {"timelimit": [3600, None]}, "were changed after it was signed"),
        ({"headers": {"tenant": "a"}}, {"headers": {"tenant": "b"}}, "were changed after it was signed"),
        ({}, {"headers": {"tenant": "b"}}, "were changed after it was signed"),
        ({"stamps": {"run": 1}}, {"stamps": {"run": 2}}, "were changed after it was signed"),
        ({}, {"w": {"i": "w1", "n": 0}}, "were changed after it was signed"),
        ({}, {"compression": "zlib"}, "were changed after it was signed"),
        ({}, {"root_id": "another"}, "were changed after it was signed"),
    ],
    ids=lambda given: next(iter(given), "") if isinstance(given, dict) else "",
)
def test_a_message_under_other_headers_is_refused(
    app: Umbel, options: dict[str, Any], forged: dict[str, Any], said: str
) -> None:
    app.tasks["add"].apply_async((1,), **options)
    result = _resent(app, **forged)
    InMemoryWorker(app).run()
    with pytest.raises(SecurityError, match=said):
        result.get(timeout=20)
    (letter,) = app.dead.find()
    assert letter.reason == "Untrusted"
    assert "refused" in letter.letter.reason["message"]


def test_what_may_change_on_the_way_may_change(app: Umbel) -> None:
    app.tasks["add"].apply_async((1,), {"y": 1}, headers={"tenant": "a"}, countdown=0)
    message = take_one(app)
    headers = {**message.headers, "retries": 3, "delay": 0.5, "ignore_result": False, "group": "g", "run": "r"}
    headers["headers"] = {**headers["headers"], "dead_letter": {"reason": "Rejected"}}
    moved = replace(message, headers=headers, priority=9, attempt=4, lost=1)
    result = publishing.publish(app, "another", moved, 0.0)
    InMemoryWorker(app, queues=["another"]).run()
    assert result.get(timeout=20) == 2


def test_the_same_message_may_come_twice(app: Umbel) -> None:
    """As any message may: what must not run twice has to see to that itself."""
    result = app.tasks["add"].delay(1, 2)
    message = take_one(app)
    for _ in range(2):
        publishing.publish(app, "default", message, 0.0)
        InMemoryWorker(app).run()
    assert result.get(timeout=20) == 3
    assert not list(app.dead.find())


class Tenants(Middleware):
    """Writes a header into each call."""

    def publish(self, call: Any) -> None:
        call.headers["tenant"] = "a"


def test_headers_of_middleware_are_signed_too(app: Umbel) -> None:
    app.add_middleware(Tenants())
    app.tasks["add"].delay(1)
    message = take_one(app)
    assert message.headers["headers"] == {"tenant": "a"}
    result = publishing.publish(app, "default", message, 0.0)
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == 1


def test_headers_that_cannot_be_carried_say_so(app: Umbel) -> None:
    with pytest.raises(EncodeError, match=r"add: headers=.*cannot be carried"):
        app.tasks["add"].apply_async((1,), headers={"x": object()})


def test_a_unique_grouped_and_compressed_task(signing_app: Apps, tmp_path: Path) -> None:
    app = signing_app(Signer(tmp_path, "ada"))
    app.conf.task_compression = "zlib"

    @app.task(name="once", unique=True, group=lambda text: text[:3])
    def once(text: str) -> int:
        return len(text)

    result = once.delay("x" * 5000)
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == 5000


@pytest.mark.parametrize("again", [{}, {"expires": 60}, {"time_limit": 7}, {"args": (5,), "expires": 60}])
def test_a_retry_with_other_options_is_signed_for_them(app: Umbel, again: dict[str, Any]) -> None:
    @app.task(bind=True, name="again")
    def retried(self: Task[..., int], x: int) -> int:
        if self.request.retries:
            return x
        raise self.retry(countdown=0, **again)

    result = retried.apply_async((1,), headers={"a": 1})
    InMemoryWorker(app).run(wait=20)
    assert result.get(timeout=20) == (5 if "args" in again else 1)


def test_eager_tasks_are_signed_and_read(app: Umbel) -> None:
    task = app.tasks["add"]
    task.expires = 10
    assert task.apply((2,), {"y": 3}).get() == 5


def test_a_run_of_a_schedule_is_signed(app: Umbel) -> None:
    def make(name: str, args: Any, kwargs: Any, options: Any) -> Any:
        return publishing.build(app, name, args, kwargs, task=app.tasks.get(name), now=time.time(), **options)

    found = entries_of("a", {"e": {"task": "add", "schedule": 60, "args": (4,)}}, "UTC", make)
    ((uid, entry),) = found.items()
    call = entry.build(RunIds("run-1", "task-1"), uid)
    publishing.publish(app, call.queue, decode(call.payload), 0.0)
    InMemoryWorker(app).run()
    assert app.AsyncResult("task-1").get(timeout=20) == 4


@pytest.mark.parametrize("results", ["json", "auth"])
def test_workflows_are_signed_at_each_step(app: Umbel, results: str) -> None:
    app.conf.result_serializer = results
    add = app.tasks["add"]

    @app.task(name="total")
    def total(numbers: list[int], more: int = 0) -> int:
        return sum(numbers) + more

    whole = chain(add.s(1, 2), add.s(3), chord([add.s(4), add.s(5), group(add.s(6), add.s(7))], total.s(more=1)))
    result = whole.apply_async()
    InMemoryWorker(app).run(wait=20)
    assert result.get(timeout=20) == 4 * 6 + 4 + 5 + 6 + 7 + 1


def test_errbacks_and_replacements_are_signed(app: Umbel) -> None:
    told: list[Any] = []

    @app.task(name="old_style")
    def old_style(failed: str) -> None:
        told.append(failed)

    @app.task(name="new_style")
    def new_style(request: Any, error: Any, trace: Any) -> None:
        told.append((request.args, type(error).__name__))

    @app.task(name="fail")
    def fail(x: int) -> None:
        raise KeyError(x)

    @app.task(name="instead", bind=True)
    def instead(self: Task[..., Any], x: int) -> Any:
        return self.replace(Signature("add", (x, 1), app=app))

    failing = fail.s(1)
    failing.on_error(old_style.s())
    failing.on_error(new_style.s())
    failed = failing.apply_async()
    replaced = instead.delay(4)
    InMemoryWorker(app).run(wait=20)
    assert replaced.get(timeout=20) == 5
    assert sorted(told, key=str) == sorted([failed.id, ([1], "KeyError")], key=str)


# Results


def _record_of(app: Umbel, task_id: str) -> Record:
    record = app.results.get(task_id)
    assert record is not None
    return record


def test_a_signed_result_cannot_be_handed_on_as_anothers(app: Umbel) -> None:
    app.conf.result_serializer = "auth"
    result, other = app.tasks["add"].delay(1, 1), str(uuid.uuid4())
    InMemoryWorker(app).run()
    app.results.store(other, _record_of(app, result.id), 60)
    with pytest.raises(
        SecurityError, match=f"the result of {other} holds what was signed for the result of {result.id}"
    ):
        app.AsyncResult(other).get(timeout=20)


@pytest.mark.parametrize("value", [b"7", b""])
def test_an_unsigned_result_is_refused_where_results_are_signed(app: Umbel, value: bytes) -> None:
    app.conf.result_serializer = "auth"
    app.results.store("forged", Record(states.SUCCESS, value), 60)
    with pytest.raises(ContentDisallowed, match="'application/json' is not accepted here"):
        app.AsyncResult("forged").get(timeout=20)
    app.conf.result_accept_content = ["auth", "json"]
    assert app.AsyncResult("forged").get(timeout=20) == (7 if value else None)


def test_arguments_are_no_result(app: Umbel) -> None:
    app.conf.result_serializer = "auth"
    app.tasks["add"].delay(1)
    body = take_one(app).body
    app.results.store("forged", Record(states.SUCCESS, body, meta={"content_type": codecs.SIGNED}), 60)
    with pytest.raises(SecurityError, match="the result of forged holds what was signed for 'add'"):
        app.AsyncResult("forged").get(timeout=20)


def test_what_nobody_signed_is_no_value_of_a_chord(signing_app: Apps, tmp_path: Path) -> None:
    """As a worker leaves it that has another result_serializer, or who can write to the broker."""
    ada = Signer(tmp_path, "ada")
    app, careless = signing_app(ada), signing_app(ada)
    app.conf.result_serializer = "auth"

    @app.task(name="total")
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    add = app.tasks["add"]
    result = chord([add.s(1), add.s(2).set(queue="careless")], total.s()).apply_async()
    InMemoryWorker(careless, queues=["careless"]).run()
    InMemoryWorker(app).run()
    with pytest.raises(SecurityError, match="a value on its way between two tasks is not signed"):
        app.AsyncResult(result.id).get(timeout=20)
    (letter,) = app.dead.find()
    assert letter.reason == "Untrusted"


# On the way


def _told(app: Umbel) -> list[str]:
    """Have a task write down the ids that it is told as an errback."""
    told: list[str] = []

    @app.task(name="told")
    def tell(task_id: str) -> None:
        told.append(task_id)

    return told


@pytest.mark.parametrize("signed", [True, False])
def test_errbacks_of_what_was_dropped(signing_app: Apps, tmp_path: Path, signed: bool) -> None:
    """Whoever drops a task has no app at hand: where it has a key, that signs."""
    app = signing_app(Signer(tmp_path, "ada") if signed else None)
    app.conf.task_compression = "zlib"
    told = _told(app)
    errback = app.tasks["told"].s().set(queue="errbacks")
    result = app.tasks["add"].apply_async(("x" * 500,), link_error=errback)
    app.broker.configure("default", {"max_length": 1, "overflow": "DropOldest"}, 1)
    app.tasks["add"].delay(2)
    InMemoryWorker(app, queues=["errbacks"]).run()
    assert told == [result.id]


def test_dead_letters_are_sent_again_and_forwarded_with_their_signature(app: Umbel) -> None:
    refuses = [True, True]

    @app.task(name="picky")
    def picky(x: int) -> int:
        if refuses and refuses.pop():
            raise Reject("not now")
        return x

    result = picky.delay(5)
    InMemoryWorker(app).run()
    assert [letter.id for letter in app.dead.retry(reason="Rejected")] == [result.id]
    app.broker.configure("default", {"dead_policy": "Forward", "dead_forward": "graves"}, 1)
    InMemoryWorker(app).run()
    assert not refuses
    assert result.state == states.FAILURE
    (message,) = take(app, "graves")
    assert message.headers["headers"]["dead_letter"]["reason"] == "Rejected"
    again = publishing.publish(
        app, "default", replace(message, headers={**message.headers, "ignore_result": False}), 0.0
    )
    InMemoryWorker(app).run()
    assert again.id == result.id
    assert not list(app.dead.find())


def test_who_has_no_key_says_what_is_missing(app: Umbel, monkeypatch: pytest.MonkeyPatch) -> None:
    app.tasks["add"].delay(1)
    message = take_one(app)
    monkeypatch.delitem(codecs._BY_CONTENT_TYPE, codecs.SIGNED)
    told = task_info(message.encode(), "default")
    assert "only where app.setup_security() has been called" in told["error"]
