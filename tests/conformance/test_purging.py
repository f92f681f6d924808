"""What is purged and told of: put aside first, so that nobody waits for ever, whoever dies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.making import ends, ids, outgoing, read, several, take

from umbel import states
from umbel.broker.base import Broker, Consumer, Outgoing
from umbel.broker.tickets import Ticket
from umbel.dropping import look_after, purge
from umbel.message import PURGED, Message
from umbel.results.base import Results

Consumers = Callable[..., Consumer]
ONE = Ticket(place="c:7", places=1)


@pytest.fixture
def busy(broker: Broker, consumers: Consumers) -> Broker:
    """A queue where a task runs, and others wait in each way: ready, delayed, of a group, for a place."""
    broker.publish("q", several(["runs", "parked"]))
    consumer = consumers()
    for delivery in take(consumer, "q"):
        consumer.admit(delivery, ONE)
    broker.publish("q", [outgoing("high", priority=9), outgoing("grouped", group="g"), outgoing("late", delay=60.0)])
    return broker


def test_all_that_waits_is_put_aside(busy: Broker) -> None:
    aside = busy.set_aside("q", 10)
    assert sorted(ids(aside)) == ["grouped", "high", "late", "parked"]
    assert all(read(delivery).flags & PURGED == PURGED for delivery in aside)
    info = busy.info("q")
    assert (info.ready, info.delayed, info.parked, info.in_flight) == (0, 0, 0, 5)
    assert {delivery.tag for delivery in busy.dropped("q")} == {delivery.tag for delivery in aside}
    busy.settle_dropped("q", ends(aside))
    assert busy.info("q").in_flight == 1


def test_no_more_is_put_aside_than_asked_for(busy: Broker) -> None:
    first, second = busy.set_aside("q", 3), busy.set_aside("q", 3)
    assert sorted(ids([*first, *second])) == ["grouped", "high", "late", "parked"]
    assert (len(first), len(second), busy.set_aside("q", 3), busy.set_aside("nowhere", 3)) == (3, 1, [], [])


def test_a_purge_ends_all_that_waits_as_revoked(busy: Broker, results: Results) -> None:
    assert purge(busy, "q") == 4
    for task_id in ("grouped", "high", "late", "parked"):
        record = results.get(task_id)
        assert record is not None
        assert record.state == states.REVOKED
        assert b"was purged" in record.value
    assert results.get("runs") is None
    info = busy.info("q")
    assert (info.ready, info.delayed, info.parked, info.in_flight, info.dead) == (0, 0, 0, 1, 0)
    assert purge(busy, "q") == 0


def test_more_than_one_helping_is_purged(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umbel.dropping.ASIDE_COUNT", 7)
    broker.publish("q", several([str(number) for number in range(30)]))
    assert purge(broker, "q") == 30
    assert broker.dropped("q") == []


def test_others_tell_of_what_a_purge_that_died_had_put_aside(broker: Broker, results: Results) -> None:
    broker.publish("q", several("ab"))
    broker.set_aside("q", 1)
    assert look_after(broker, ["q"]) == 1
    found = results.get("a")
    assert found is not None
    assert found.state == states.REVOKED
    assert broker.info("q").dead == 0, "it is no dropped task"
    broker.purge("q")


def test_what_cannot_be_read_is_purged_too(broker: Broker) -> None:
    broker.publish("q", [Outgoing(b"?", "x"), Outgoing(outgoing("y").payload[:40], "y")])
    assert purge(broker, "q") == 2
    assert broker.info("q").in_flight == 0


def test_a_task_without_result_leaves_none(broker: Broker, results: Results) -> None:
    message = Message({"id": "silent", "task": "conformance", "ignore_result": True}, b"[]")
    broker.publish("q", [Outgoing(message.encode(), "silent")])
    assert purge(broker, "q") == 1
    assert results.get("silent") is None
