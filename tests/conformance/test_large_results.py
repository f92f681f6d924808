"""Result backends: values that are too large for one piece."""

from __future__ import annotations

import queue
from collections.abc import Callable

import pytest
from tests.conformance.conftest import RESULT_BACKENDS
from tests.conformance.making import end, record, several, take
from tests.conformance.waiting import until

from umbel import states
from umbel.broker.base import Broker, Consumer
from umbel.broker.redis import parts
from umbel.record import Record
from umbel.results.base import Results
from umbel.results.database import parts as rows

MakeResults = Callable[[], Results]
pytestmark = pytest.mark.parametrize("adapter", RESULT_BACKENDS, indirect=True)
VALUE = bytes(range(256)) * 40
MiB = 1024 * 1024


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", 1000)
    monkeypatch.setattr(rows, "PART", 1000)
    monkeypatch.setattr(rows, "SMALL", 1000)


def large(state: str = states.SUCCESS, attempt: int = 0) -> Record:
    return record(state, VALUE, attempt=attempt, worker="w")


def test_a_large_value_comes_back_whole(results_factory: MakeResults) -> None:
    writer, reader = results_factory(), results_factory()
    assert writer.store("a", large(), 60.0)
    assert reader.get("a") == large()
    assert reader.get_many(["b", "a"]) == [None, large()]
    assert reader.wait("a").result(20.0) == large()
    assert reader.wait_many([("a", None)])[0].result(20.0) == large()
    assert reader.wait_for("a", 10.0) == large()


def test_who_waits_gets_it_whole(
    broker: Broker, consumers: Callable[..., Consumer], results_factory: MakeResults
) -> None:
    waiting, other = results_factory(), results_factory()
    waiting.wait("before").cancel()
    broker.publish("q", several("ab"))
    named, unnamed = waiting.wait("a", waiting.inbox()), other.wait("b")
    consumer = consumers()
    first, second = take(consumer, "q")
    raw = large().encode()
    consumer.cycle(
        "q", [end(first, record=raw, reply_to=waiting.inbox(), ttl=60.0), end(second, record=raw, ttl=60.0)], 0
    )
    assert named.result(20.0) == large()
    assert unnamed.result(20.0) == large()


def test_a_large_one_is_forgotten_with_all_its_parts(results: Results) -> None:
    results.store("a", large(states.STARTED), 60.0)
    results.store("a", large(), 60.0)
    results.forget("a")
    assert results.get("a") is None
    assert results.store("a", record(states.STARTED), 60.0)


def test_the_guard_holds_for_large_ones(results: Results) -> None:
    assert results.store("a", large(attempt=2), 60.0)
    assert not results.store("a", large(states.FAILURE, attempt=1), 60.0)
    assert results.get("a") == large(attempt=2)


def test_custom_states_can_be_large_and_are_heard_whole(results_factory: MakeResults) -> None:
    listening, writer = results_factory(), results_factory()
    heard: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
    stop = listening.listen("a", heard.put)
    assert writer.store("a", large("PROGRESS"), 60.0)
    assert heard.get(timeout=20.0) == large("PROGRESS")
    assert writer.get("a") == large("PROGRESS")
    stop()


def test_large_meta_data_come_back(results: Results) -> None:
    stored = record(args=["x" * 5000], traceback="y" * 5000)
    assert results.store("a", stored, 60.0)
    assert results.get("a") == stored


def test_large_ones_end_with_their_time(results: Results) -> None:
    results.store("a", large(), 0.1)
    until(lambda: results.get("a") is None)
    assert results.store("a", large(states.STARTED), 60.0)
    assert results.get("a") == large(states.STARTED)


@pytest.mark.parametrize("value", [b"'\0\\\n" * MiB, bytes(5 * MiB)], ids=["to be escaped", "zeros"])
def test_values_of_some_mebibytes(value: bytes, results_factory: MakeResults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    stored = record(value=value)
    assert results_factory().store("a", stored, 60.0)
    assert results_factory().get("a") == stored
