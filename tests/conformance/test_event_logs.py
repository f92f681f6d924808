"""Where events are kept: in order, bounded by number and by age, read from any position, from several processes at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.conformance.adapters import Adapter, RedisAdapter
from tests.conformance.waiting import until

from umbel.events.base import BEGINNING, Bounds, EventLog, clock_of
from umbel.events.memory import MemoryEvents
from umbel.events.redis import RedisEvents


@pytest.fixture
def logs(adapter: Adapter, prefix: str) -> Iterator[Callable[..., EventLog]]:
    """Opens logs that share what they keep."""
    with ExitStack() as closing:

        def open(**bounds: float) -> EventLog:
            kept = Bounds(**bounds)  # type: ignore[arg-type]
            if isinstance(adapter, RedisAdapter):
                made: EventLog = RedisEvents(adapter.server.url, prefix=prefix, bounds=kept)
            else:
                made = MemoryEvents("memory://conformance", prefix=prefix, bounds=kept)
            closing.callback(made.close)
            return made

        yield open


def test_events_come_in_the_order_in_which_they_were_written(logs: Callable[..., EventLog]) -> None:
    log, other = logs(), logs()
    assert log.newest() == BEGINNING
    log.write([b"a", b"b"])
    other.write([b"c"])
    found = log.read(BEGINNING, 10)
    assert [event for _, event in found] == [b"a", b"b", b"c"]
    clocks = [clock_of(position) for position, _ in found]
    assert clocks == sorted(set(clocks))
    assert log.newest() == found[-1][0]
    assert [event for _, event in log.read(found[0][0], 1)] == [b"b"]
    assert log.read(log.newest(), 10) == []


def test_who_waits_hears_of_the_next_one(logs: Callable[..., EventLog]) -> None:
    log, other = logs(), logs()
    log.write([b"before"])
    after = log.newest()
    writing = threading.Timer(0.2, other.write, [[b"after"]])
    writing.start()
    found: list[bytes] = []
    deadline = time.monotonic() + 20
    while not found and time.monotonic() < deadline:
        found = [event for _, event in log.read(after, 10, 1.0)]
    writing.join()
    assert found == [b"after"]


def test_nobody_waits_for_longer_than_asked(logs: Callable[..., EventLog]) -> None:
    assert logs().read(BEGINNING, 10, 0.05) == []


def test_only_so_many_are_kept(logs: Callable[..., EventLog]) -> None:
    log = logs(most=500)
    for start in range(0, 3000, 100):
        log.write([str(number).encode() for number in range(start, start + 100)])
    kept = [event for _, event in log.read(BEGINNING, 5000)]
    assert kept[-1] == b"2999"
    assert 500 <= len(kept) <= 700  # Redis drops whole blocks


def test_what_is_too_old_is_dropped(logs: Callable[..., EventLog]) -> None:
    log = logs(age=0.3)
    log.write([b"old"])
    time.sleep(0.4)
    log.write([b"new"])
    assert [event for _, event in log.read(BEGINNING, 10)] == [b"new"]


def test_the_last_seconds_can_be_asked_for(logs: Callable[..., EventLog]) -> None:
    log = logs()
    log.write([b"old"])
    time.sleep(0.05)
    since = time.monotonic()
    time.sleep(0.2)
    log.write([b"new"])
    newest = clock_of(log.newest())

    def before_the_new_one() -> str:
        position = log.ago(time.monotonic() - since)
        return position if clock_of(position) < newest else ""  # it was asked for too slowly

    assert [event for _, event in log.read(until(before_the_new_one), 10)] == [b"new"]
    assert [event for _, event in log.read(log.ago(3600), 10)] == [b"old", b"new"]
    assert len(log.read(log.ago(1e12), 10)) == 2
