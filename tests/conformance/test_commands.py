"""Revocations and commands reach all workers that listen; revocations also those that come later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.conformance.making import outgoing
from tests.conformance.waiting import until

from umbel.broker.base import Broker, Liveness
from umbel.message import decode

Command = dict[str, Any]
Listen = Callable[..., list[Command]]


@pytest.fixture
def listen(broker: Broker) -> Iterator[Listen]:
    """Starts a listener and returns the list of what it hears."""
    with ExitStack() as closing:

        def start(then: Callable[[Command], None] = lambda command: None) -> list[Command]:
            heard: list[Command] = []

            def handle(command: Command) -> None:
                heard.append(command)
                then(command)

            listener = broker.listen(handle)
            closing.callback(listener.join, 20.0)
            closing.callback(listener.stop)
            until(lambda: broker.control({"command": "hello"}) and {"command": "hello"} in heard)
            heard.clear()
            return heard

        yield start


def test_a_command_is_heard_by_all_who_listen(broker: Broker, broker_factory: Any, listen: Listen) -> None:
    first, second = listen(), listen()
    until(lambda: first.clear() or broker_factory().control({"command": "ping", "value": [1, None, "ä"]}) == 2)
    expected = {"command": "ping", "value": [1, None, "ä"]}
    until(lambda: expected in first and expected in second)


def test_commands_arrive_in_order(broker: Broker, listen: Listen) -> None:
    heard = listen()
    for number in range(200):
        broker.control({"command": "count", "number": number})
    until(lambda: len([command for command in heard if command["command"] == "count"]) == 200)
    assert [command["number"] for command in heard if command["command"] == "count"] == list(range(200))


def test_nobody_listens_nobody_hears(broker: Broker) -> None:
    assert broker.control({"command": "ping"}) == 0
    assert broker.revoke(["a"]) == 0


def test_commands_are_handled_in_a_thread_of_their_own(broker: Broker, listen: Listen) -> None:
    threads: list[threading.Thread] = []
    listen(lambda command: threads.append(threading.current_thread()))
    assert threading.current_thread() not in threads


def test_a_stopped_listener_hears_nothing_more(broker: Broker) -> None:
    heard: list[Command] = []
    listener = broker.listen(heard.append)
    until(lambda: broker.control({"command": "hello"}))
    listener.stop()
    listener.join(20.0)
    until(lambda: broker.control({"command": "again"}) == 0)
    assert {"command": "again"} not in heard
    listener.stop()


def test_a_handler_that_raises_hears_the_next_command(
    broker: Broker, listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(command: Command) -> None:
        if command["command"] == "bad":
            raise RuntimeError("the handler failed")

    heard = listen(fail)
    broker.control({"command": "bad"})
    until(lambda: broker.control({"command": "good"}) and {"command": "good"} in heard)
    assert {"command": "bad"} in heard
    assert any(entry.exc_info for entry in caplog.records)


def test_prefixes_keep_apart(broker: Broker, listen: Listen) -> None:
    heard = listen()
    stranger = type(broker)(broker.url, prefix="another-prefix")  # type: ignore[call-arg]
    assert stranger.control({"command": "stray"}) == 0
    stranger.close()
    until(lambda: broker.control({"command": "ours"}) and {"command": "ours"} in heard)
    assert {"command": "stray"} not in heard


def test_revoked_ids_are_remembered(broker: Broker, broker_factory: Callable[[], Broker]) -> None:
    assert broker.revoked() == set()
    broker.revoke(["a", "b"])
    broker.revoke(["b", "c"])
    assert broker_factory().revoked() == {"a", "b", "c"}


def test_workers_hear_of_a_revocation(broker: Broker, listen: Listen) -> None:
    heard = listen()
    assert until(lambda: broker.revoke(["a", "b"], terminate=True)) == 1
    expected = {"command": "revoke", "arguments": {"task_id": ["a", "b"], "terminate": True}}
    until(lambda: expected in heard)


def test_answers_arrive_where_they_were_sent(broker: Broker, broker_factory: Callable[[], Broker]) -> None:
    place, other = broker.answers(), broker.answers()
    assert broker_factory().answer(place.address, {"id": "1", "answer": [None, "ä"]})
    assert broker_factory().answer(place.address, {"id": "2"})
    assert place.next(20.0) == {"id": "1", "answer": [None, "ä"]}
    assert place.next(20.0) == {"id": "2"}
    assert place.next(0.01) is None
    assert other.next(0.0) is None
    place.close()
    other.close()


def test_nobody_waits_for_answers_any_more(broker: Broker) -> None:
    place = broker.answers()
    place.close()
    until(lambda: not broker.answer(place.address, {"id": "1"}))


def test_a_long_answer_arrives(broker: Broker) -> None:
    place = broker.answers()
    answer = {"items": ["x" * 1000] * 2000}
    assert broker.answer(place.address, answer)
    assert place.next(20.0) == answer
    place.close()


def test_delayed_messages_are_listed_soonest_first(broker: Broker) -> None:
    broker.publish("q", [outgoing("a", delay=30), outgoing("b", delay=10), outgoing("c", delay=20)])
    listed = broker.delayed("q")
    assert [decode(one.payload).headers["id"] for one in listed] == ["b", "c", "a"]
    assert all(due - 10 < one.due_in <= due + 0.01 for one, due in zip(listed, (10, 20, 30), strict=True))
    assert len(broker.delayed("q", limit=2)) == 2
    assert broker.delayed("unknown") == []


def test_a_heartbeat_is_told_by_the_brokers_clock(liveness: Liveness, broker: Broker, consumers: Any) -> None:
    before = broker.time()
    consumers("q")
    (owner,) = liveness.owners()
    assert before - 0.001 <= owner.last_beat <= broker.time()
