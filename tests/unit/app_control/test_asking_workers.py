"""Who asks gets the answers of all who are there, once each, whatever is lost on the way."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from umbel import Umbel
from umbel.broker.base import OwnerInfo
from umbel.ids import new_owner_id
from umbel.worker.remote import Remote


@pytest.fixture
def app() -> Iterator[Umbel]:
    with Umbel("shop", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False) as app:
        yield app


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Answering:
    """A supervisor's ear and mouth, without its children."""

    def __init__(
        self,
        app: Umbel,
        stack: ExitStack,
        name: str,
        worker: str = "",
        *,
        hears: Callable[[dict[str, Any]], bool] = lambda message: True,
    ) -> None:
        self.name = name
        self.worker = worker or f"id-of-{name}"
        self.heard: list[dict[str, Any]] = []
        self.ran: list[dict[str, Any]] = []
        self._hears = hears
        handlers = {
            "ping": lambda arguments: {"ok": "pong"},
            "note": lambda arguments: self.ran.append(arguments) or {"ok": self.name},
            "refuse": self._refuse,
        }
        self.late: list[Any] = []
        self._remote = Remote(app.broker, self.worker, name, handlers, self._later)
        app.broker.consumer(OwnerInfo(new_owner_id(), ["default"], worker=self.worker, hostname=name)).register()
        listener = app.broker.listen(self._take)
        stack.callback(listener.join, 20.0)
        stack.callback(listener.stop)

    def _take(self, message: dict[str, Any]) -> None:
        self.heard.append(message)
        if self._hears(message):
            self._remote.take(message)

    def _refuse(self, arguments: dict[str, Any]) -> None:
        raise ValueError("not with me")

    def _later(self, command: str, arguments: dict[str, Any], timeout: float | None, done: Any) -> bool:
        if command != "later":
            return False
        self.late.append((timeout, done))
        return True


def test_all_who_are_there_answer_and_nobody_is_waited_for_longer(app: Umbel, stack: ExitStack) -> None:
    Answering(app, stack, "w1")
    Answering(app, stack, "w2")
    begun = time.monotonic()
    assert app.control.inspect(timeout=20).ping() == {"w1": {"ok": "pong"}, "w2": {"ok": "pong"}}
    assert time.monotonic() - begun < 10
    assert app.control.ping(timeout=20) in (
        [{"w1": {"ok": "pong"}}, {"w2": {"ok": "pong"}}],
        [{"w2": {"ok": "pong"}}, {"w1": {"ok": "pong"}}],
    )


def test_nobody_answers(app: Umbel) -> None:
    assert app.control.inspect(timeout=0.05).ping() is None
    assert app.control.inspect(timeout=0.05).active() is None
    assert app.control.ping(timeout=0.05) == []
    assert app.control.broadcast("note") == 0


def test_some_are_asked_by_name_or_by_pattern(app: Umbel, stack: ExitStack) -> None:
    workers = [Answering(app, stack, name) for name in ("mail@a", "mail@b", "reports@a")]
    assert app.control.inspect(["mail@b"], timeout=20).ping() == {"mail@b": {"ok": "pong"}}
    assert list(app.control.inspect(pattern="mail@*", timeout=20).ping()) == ["mail@a", "mail@b"]
    assert list(app.control.inspect(pattern=".+@a", matcher="pcre", timeout=20).ping()) == ["mail@a", "reports@a"]
    assert app.control.inspect(pattern="nobody*").ping() is None
    # One name, not a list: the answer alone
    assert app.control.inspect("mail@a", timeout=20).ping() == {"ok": "pong"}
    app.control.broadcast("note", {"x": 1}, pattern="reports*", reply=True, timeout=20)
    assert [worker.ran for worker in workers] == [[], [], [{"x": 1}]]


def test_a_limit_ends_the_waiting(app: Umbel, stack: ExitStack) -> None:
    for number in range(3):
        Answering(app, stack, f"w{number}")
    assert len(app.control.inspect(limit=1, timeout=20).ping()) == 1


def test_answers_are_called_back_as_they_come(app: Umbel, stack: ExitStack) -> None:
    Answering(app, stack, "w1")
    heard: list[Any] = []
    app.control.inspect(callback=heard.append, timeout=20).ping()
    app.control.broadcast("ping", callback=heard.append, timeout=20)
    assert heard == [{"w1": {"ok": "pong"}}] * 2


def test_a_command_that_was_not_heard_is_sent_again_and_carried_out_once(app: Umbel, stack: ExitStack) -> None:
    # Given a worker whose subscription misses what is sent until the other one has answered
    deaf = Answering(app, stack, "w1", hears=lambda message: message["destination"] == ["id-of-w1"])
    other = Answering(app, stack, "w2")
    assert app.control.broadcast("note", {"x": 1}, reply=True, timeout=60) == [
        {"w2": {"ok": "w2"}},
        {"w1": {"ok": "w1"}},
    ]
    assert deaf.ran == other.ran == [{"x": 1}]


def test_a_worker_asked_again_answers_again_without_doing_it_again(app: Umbel, stack: ExitStack) -> None:
    worker = Answering(app, stack, "w1")
    place = app.broker.answers()
    message = {"command": "note", "arguments": {}, "id": "one", "reply_to": place.address}
    for _ in range(3):
        app.broker.control(message)
        answer = place.next(20.0)
        assert answer == {"id": "one", "worker": worker.worker, "name": "w1", "answer": {"ok": "w1"}}
    assert worker.ran == [{}]
    place.close()


def test_what_takes_time_is_answered_when_it_is_done(app: Umbel, stack: ExitStack) -> None:
    worker = Answering(app, stack, "w1")
    got: list[Any] = []
    asking = threading.Thread(target=lambda: got.append(app.control.broadcast("later", reply=True, timeout=60)))
    asking.start()
    deadline = time.monotonic() + 30
    while not (worker.late and len(worker.heard) > 1):  # asked again meanwhile
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ((timeout, done),) = worker.late
    done({"ok": "at last"})
    asking.join(30)
    assert (got, timeout) == ([[{"w1": {"ok": "at last"}}]], 60)


def test_errors_are_answers(app: Umbel, stack: ExitStack) -> None:
    Answering(app, stack, "w1")
    (refused,) = app.control.broadcast("refuse", reply=True, timeout=20)
    assert refused == {"w1": {"error": "ValueError: not with me"}}
    (unknown,) = app.control.broadcast("nonsense", reply=True, timeout=20)
    assert "knows no command 'nonsense': it knows note, ping, refuse" in unknown["w1"]["error"]


def test_two_workers_of_one_name_are_told_apart(app: Umbel, stack: ExitStack) -> None:
    Answering(app, stack, "w", "s1")
    Answering(app, stack, "w", "s2")
    answers = app.control.inspect(timeout=20).ping()
    assert set(answers) in ({"w", "w (s1)"}, {"w", "w (s2)"})


def test_commands_reach_those_who_listen(app: Umbel, stack: ExitStack) -> None:
    worker = Answering(app, stack, "w1")
    assert app.control.revoke("1") == 1
    assert app.control.revoke(["2", "3"], terminate=True, signal="SIGTERM") == 1
    assert app.control.revoke([]) == 0
    assert app.control.shutdown(["w1"]) == 1
    deadline = time.monotonic() + 30
    while len(worker.heard) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [(message["command"], message["arguments"]) for message in worker.heard] == [
        ("revoke", {"task_id": ["1"], "terminate": False}),
        ("revoke", {"task_id": ["2", "3"], "terminate": False}),
        ("revoke", {"task_id": ["2", "3"], "terminate": True, "signal": "SIGTERM"}),
        ("shutdown", {}),
    ]
    assert worker.heard[-1]["destination"] == ["w1"]
    assert app.broker.revoked() == {"1", "2", "3"}
