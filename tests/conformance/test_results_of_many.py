"""Result backends: the records of many tasks, read and awaited at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from tests.conformance.conftest import RESULT_BACKENDS
from tests.conformance.making import record

from umbel import states
from umbel.results.base import Results

MakeResults = Callable[[], Results]
pytestmark = pytest.mark.parametrize("adapter", RESULT_BACKENDS, indirect=True)


def test_many_records_are_read_in_order(results: Results) -> None:
    assert results.get_many([]) == []
    results.store("a", record(value=b"1"), 60.0)
    results.store("c", record("PROGRESS", b"3"), 60.0)
    assert results.get_many(["c", "b", "a"]) == [record("PROGRESS", b"3"), None, record(value=b"1")]


def test_many_are_awaited_at_once(results_factory: MakeResults) -> None:
    waiting, writer = results_factory(), results_factory()
    writer.store("0", record(value=b"0"), 60.0)
    waiting.wait("other").cancel()
    before = threading.active_count()
    named = [(str(number), waiting.inbox() if number % 2 else None) for number in range(2500)]
    futures = waiting.wait_many(named)
    assert threading.active_count() <= before + 1
    assert futures[0].result(20.0).value == b"0"
    assert not any(future.done() for future in futures[1:])
    for number in range(2, 2500, 2):
        writer.store(str(number), record(value=b"%d" % number), 60.0)
    for number in range(2, 2500, 2):
        assert futures[number].result(20.0).value == b"%d" % number
    for future in futures[1::2]:
        assert future.cancel()


def test_a_wait_for_none_ends_at_once(results: Results) -> None:
    assert results.wait_many([]) == []


@pytest.mark.parametrize("state", [states.STARTED, "PROGRESS"])
def test_many_waits_begin_with_tasks_that_have_not_ended(state: str, results_factory: MakeResults) -> None:
    waiting, writer = results_factory(), results_factory()
    writer.store("a", record(state), 60.0)
    first, second = waiting.wait_many([("a", None), ("a", None)])
    writer.store("a", record(), 60.0)
    assert first.result(20.0) == second.result(20.0) == record()
