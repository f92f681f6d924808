"""Result backends: who wants to hear of every state of a task."""

from __future__ import annotations

import queue
from collections.abc import Callable

import pytest
from tests.conformance.conftest import RESULT_BACKENDS
from tests.conformance.making import end, record, several, take

from umbel import states
from umbel.broker.base import Broker, Consumer, Kind
from umbel.record import Record
from umbel.results.base import Results

MakeResults = Callable[[], Results]
Heard = queue.SimpleQueue[Record | None]
pytestmark = pytest.mark.parametrize("adapter", RESULT_BACKENDS, indirect=True)


def step(number: int) -> Record:
    return Record("PROGRESS", b"%d" % number, 0, 1_700_000_000_000 + number)


def value(heard: Heard) -> bytes:
    record = heard.get(timeout=20.0)
    assert record is not None
    return record.value


def test_every_state_is_told_up_to_the_end(results_factory: MakeResults) -> None:
    listening, writer = results_factory(), results_factory()
    heard: Heard = queue.SimpleQueue()
    stop = listening.listen("a", heard.put)
    for number in range(3):
        writer.store("a", step(number), 60.0)
        assert value(heard) == b"%d" % number
    writer.store("a", Record(states.SUCCESS, b"42", 0, 1_700_000_009_999), 60.0)
    assert value(heard) == b"42"
    stop()
    assert heard.empty()


def test_who_comes_late_hears_of_the_last_state_first(results_factory: MakeResults) -> None:
    listening, writer = results_factory(), results_factory()
    writer.store("a", step(1), 60.0)
    writer.store("a", step(2), 60.0)
    heard: Heard = queue.SimpleQueue()
    stop = listening.listen("a", heard.put)
    assert value(heard) == b"2"
    writer.store("a", step(3), 60.0)
    assert value(heard) == b"3"
    stop()
    writer.store("b", record(), 60.0)
    stop = listening.listen("b", heard.put)
    assert value(heard) == record().value
    stop()


def test_a_state_that_is_watched_can_be_read(results_factory: MakeResults) -> None:
    listening, writer = results_factory(), results_factory()
    stop = listening.listen("a", lambda record: None)
    future = listening.wait("a")
    writer.store("a", step(1), 60.0)
    assert writer.get("a") == step(1)
    assert results_factory().get_many(["a"]) == [step(1)]
    writer.store("a", Record(states.SUCCESS, b"9", 0, 1_700_000_009_999), 60.0)
    assert future.result(20.0).value == b"9"
    assert writer.get("a") == Record(states.SUCCESS, b"9", 0, 1_700_000_009_999)
    stop()


def test_the_guard_holds_for_what_is_watched(results_factory: MakeResults) -> None:
    listening, writer = results_factory(), results_factory()
    stop = listening.listen("a", lambda record: None)
    assert writer.store("a", record(states.STARTED, attempt=2), 60.0)
    assert not writer.store("a", record("PROGRESS", attempt=1), 60.0)
    assert not writer.store("a", record(states.SUCCESS, attempt=1), 60.0)
    assert writer.store("a", record(states.SUCCESS, attempt=2), 60.0)
    stop()


def test_several_listen_and_wait(results_factory: MakeResults) -> None:
    listening, other, writer = results_factory(), results_factory(), results_factory()
    mine: Heard = queue.SimpleQueue()
    theirs: Heard = queue.SimpleQueue()
    waiting = other.wait("a")
    stops = [listening.listen("a", mine.put), other.listen("a", theirs.put)]
    late = listening.wait("a")
    writer.store("a", step(1), 60.0)
    assert (value(mine), value(theirs)) == (b"1", b"1")
    stops[0]()
    writer.store("a", step(2), 60.0)
    assert value(theirs) == b"2"
    writer.store("a", Record(states.FAILURE, b"{}", 0, 1_700_000_009_999), 60.0)
    assert waiting.result(20.0).state == late.result(20.0).state == states.FAILURE
    assert value(theirs) == b"{}"
    assert mine.empty()
    stops[1]()


def test_a_retry_is_told_and_the_next_attempt_too(
    broker: Broker, consumers: Callable[..., Consumer], results: Results
) -> None:
    heard: Heard = queue.SimpleQueue()
    stop = results.listen("a", heard.put)
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    assert consumer.store("a", record(states.STARTED), 60.0)
    first = heard.get(timeout=20.0)
    assert first is not None
    assert first.state == states.STARTED
    retry = Record(states.RETRY, b"{}", 0, 1_700_000_000_001)
    (again,) = consumer.cycle(
        "q", [end(delivery, Kind.RETRY, payload=delivery.payload, record=retry.encode(), ttl=60.0)], 1
    ).deliveries
    assert value(heard) == b"{}"
    done = Record(states.SUCCESS, b"5", 1, 1_700_000_000_002)
    consumer.cycle("q", [end(again, record=done.encode(), ttl=60.0)], 0)
    assert value(heard) == b"5"
    stop()


def test_closing_ends_who_listens(results: Results) -> None:
    heard: Heard = queue.SimpleQueue()
    results.listen("a", heard.put)
    results.close()
    assert heard.get(timeout=20.0) is None


def test_what_comes_faster_than_it_is_told_ends_with_the_last(results_factory: MakeResults) -> None:
    listening, writer = results_factory(), results_factory()
    heard: Heard = queue.SimpleQueue()
    stop = listening.listen("a", heard.put)
    for number in range(200):
        writer.store("a", step(number), 60.0)
    last = -1
    while last != 199:
        now = int(value(heard))
        assert now > last
        last = now
    stop()
