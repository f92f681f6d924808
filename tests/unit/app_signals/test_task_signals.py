"""The signals around calls and runs: who is told what, in which order, and that nobody pays for what nobody listens to."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from umbel import Ignore, Reject, Umbel, signals
from umbel.broker.base import Outgoing
from umbel.message import Message
from umbel.testing import InMemoryWorker

Told = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def app() -> Umbel:
    return Umbel("told", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False)


@pytest.fixture
def listen() -> Iterator[Callable[..., Told]]:
    """Connect to signals by name; what they say is collected."""
    connected: list[tuple[Any, Any]] = []

    def listen(*names: str) -> Told:
        told: Told = []
        for name in names:

            def receiver(_name: str = name, **got: Any) -> None:
                told.append((_name, got))

            signal = getattr(signals, name)
            signal.connect(receiver, weak=False)
            connected.append((signal, receiver))
        return told

    yield listen
    for signal, receiver in connected:
        signal.disconnect(receiver)


RUN = ("task_received", "task_prerun", "task_success", "task_failure", "task_retry", "task_postrun")


def test_a_task_that_returns(app: Umbel, listen: Callable[..., Told]) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    told = listen(*RUN)
    result = add.delay(1, y=2)
    InMemoryWorker(app).run()
    assert [name for name, _ in told] == ["task_received", "task_prerun", "task_success", "task_postrun"]
    received, prerun, success, postrun = (got for _, got in told)
    assert received["request"].id == result.id
    assert (prerun["sender"], prerun["task"], prerun["task_id"]) == (add, add, result.id)
    assert (prerun["args"], prerun["kwargs"]) == ([1], {"y": 2})
    assert (success["sender"], success["result"]) == (add, 3)
    assert (postrun["retval"], postrun["state"], postrun["task_id"]) == (3, "SUCCESS", result.id)


def test_a_task_that_fails(app: Umbel, listen: Callable[..., Told]) -> None:
    @app.task
    def breaks() -> None:
        raise LookupError("not there")

    told = listen(*RUN)
    breaks.delay()
    InMemoryWorker(app).run()
    assert [name for name, _ in told] == ["task_received", "task_prerun", "task_failure", "task_postrun"]
    failure, postrun = told[2][1], told[3][1]
    assert isinstance(failure["exception"], LookupError)
    assert "breaks" in failure["einfo"]
    assert failure["einfo"].exception is failure["exception"]
    assert failure["einfo"].traceback == str(failure["einfo"])
    assert failure["traceback"].tb_frame is not None
    assert (postrun["state"], postrun["retval"]) == ("FAILURE", failure["exception"])


def test_a_task_that_is_retried(app: Umbel, listen: Callable[..., Told]) -> None:
    @app.task(bind=True, max_retries=1)
    def again(self: Any) -> str:
        if not self.request.retries:
            raise self.retry(exc=OSError("away"), countdown=0)
        return "done"

    told = listen(*RUN)
    again.delay()
    InMemoryWorker(app).run(wait=20)
    names = [name for name, _ in told]
    assert names[:4] == ["task_received", "task_prerun", "task_retry", "task_postrun"]
    assert names[4:] == ["task_received", "task_prerun", "task_success", "task_postrun"]
    retry = told[2][1]
    assert isinstance(retry["reason"], OSError)
    assert retry["request"].task is again


@pytest.mark.parametrize(("end", "state"), [(Ignore(), "IGNORED"), (Reject("no"), "FAILURE")])
def test_a_task_that_asks_for_another_end(app: Umbel, listen: Callable[..., Told], end: Exception, state: str) -> None:
    @app.task
    def ends() -> None:
        raise end

    told = listen("task_postrun")
    ends.delay()
    InMemoryWorker(app).run()
    assert [(name, got["state"]) for name, got in told] == [("task_postrun", state)]


def test_eager_tasks_tell_too(app: Umbel, listen: Callable[..., Told]) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    told = listen(*RUN)
    assert add.apply((1, 2)).get() == 3
    assert [name for name, _ in told] == ["task_received", "task_prerun", "task_success", "task_postrun"]


def test_what_is_revoked_or_has_expired(app: Umbel, listen: Callable[..., Told]) -> None:
    @app.task
    def never() -> None:
        raise AssertionError

    told = listen("task_revoked", "task_prerun")
    app.broker.revoke([never.delay().id])
    never.apply_async(expires=0)
    InMemoryWorker(app).run()
    assert [name for name, _ in told] == ["task_revoked", "task_revoked"]
    first, second = (got for _, got in told)
    assert (first["expired"], first["terminated"], first["sender"]) == (False, False, never)
    assert second["expired"] is True


def test_what_no_worker_knows_or_can_read(app: Umbel, listen: Callable[..., Told]) -> None:
    app.conf.unknown_task_grace = 0
    told = listen("task_unknown", "task_rejected")
    result = app.send_task("nobody.knows")

    @app.task
    def known() -> None:
        raise AssertionError

    broken = Message({"id": "broken", "task": known.name}, b"{")
    app.broker.publish("default", [Outgoing(broken.encode(), "broken")])
    InMemoryWorker(app).run()
    by_name = dict(told)
    assert (by_name["task_unknown"]["name"], by_name["task_unknown"]["id"]) == ("nobody.knows", result.id)
    assert by_name["task_rejected"]["message"].headers["id"] == "broken"
    assert by_name["task_rejected"]["exc"] is not None


def test_what_fails_around_a_task(app: Umbel, listen: Callable[..., Told], monkeypatch: pytest.MonkeyPatch) -> None:
    @app.task
    def fine() -> None: ...

    told = listen("task_internal_error")
    monkeypatch.setattr("umbel.execution.Request", lambda *_: 1 / 0)
    fine.delay()
    InMemoryWorker(app).run()
    assert isinstance(told[0][1]["exception"], ZeroDivisionError)
    assert told[0][1]["sender"] is fine


def test_headers_that_are_added_before_a_task_is_sent_travel_with_it(
    app: Umbel, listen: Callable[..., Told], caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(bind=True)
    def shows(self: Any) -> Any:
        return [self.request.headers, self.request.ignore_result, self.request.root_id]

    told = listen("before_task_publish", "after_task_publish")

    def adds(headers: dict[str, Any], **got: Any) -> None:
        headers["tenant"] = "a"
        headers["root_id"] = "root"
        headers["task"] = "another"
        del headers["drop"]

    signals.before_task_publish.connect(adds, sender=shows.name)
    try:
        result = shows.apply_async(headers={"drop": 1, "keep": 2})
        plain = shows.delay()
    finally:
        signals.before_task_publish.disconnect(adds, sender=shows.name)
    InMemoryWorker(app).run()
    assert result.get(timeout=20) == [{"keep": 2, "tenant": "a"}, False, "root"]
    assert "signal.header_ignored" in caplog.text
    assert plain.get(timeout=20)[0]["tenant"] == "a"  # the receiver raised after that: it is sent all the same
    before, after = told[0][1], told[1][1]
    assert (before["sender"], before["routing_key"], before["exchange"]) == (shows.name, "default", "")
    assert before["headers"]["id"] == result.id
    assert before["body"][0] == ()
    assert before["properties"]["correlation_id"] == result.id
    assert after["headers"]["id"] == result.id


def test_who_connects_later_is_told_and_who_has_left_is_not(app: Umbel, listen: Callable[..., Told]) -> None:
    @app.task
    def noop() -> None: ...

    noop.delay()
    told = listen("before_task_publish")
    noop.delay()
    assert len(told) == 1
    for receiver in signals.before_task_publish.receivers:
        signals.before_task_publish.disconnect(receiver)
    noop.delay()
    assert len(told) == 1


def test_where_nobody_listens_a_run_has_no_hooks(app: Umbel) -> None:
    assert not app.hooks.runs
    assert not app.hooks.publish


def test_a_task_is_meant_by_its_name_too(app: Umbel) -> None:
    @app.task(name="by.name")
    def named() -> None: ...

    @app.task(name="other")
    def other() -> None: ...

    seen = []

    def receiver(sender: Any, **got: Any) -> None:
        seen.append(sender)

    signals.task_success.connect(receiver, sender="by.name")
    try:
        named.delay()
        other.delay()
        InMemoryWorker(app).run()
    finally:
        signals.task_success.disconnect(receiver, sender="by.name")
    assert seen == [named]


def test_a_worker_in_a_test_tells_of_itself(app: Umbel, listen: Callable[..., Told]) -> None:
    told = listen("test_worker_starting", "test_worker_started", "test_worker_stopped")
    with InMemoryWorker(app) as worker:
        pass
    assert [name for name, _ in told] == ["test_worker_starting", "test_worker_started", "test_worker_stopped"]
    assert told[1][1]["worker"] is worker


def test_importing_tells(app: Umbel, listen: Callable[..., Told]) -> None:
    told = listen("import_modules")
    app.import_modules()
    assert told[0][1]["sender"] is app


def test_what_is_not_offered_says_what_to_do() -> None:
    with pytest.raises(ImportError, match="connect to after_task_publish"):
        from umbel.signals import task_sent  # type: ignore[attr-defined] # noqa: F401
    with pytest.raises(AttributeError, match="no signal 'nothing'"):
        _ = signals.nothing
