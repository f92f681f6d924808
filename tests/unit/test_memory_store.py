"""What is particular to the in-memory adapters: names and prefixes, a clock that is handed in, bounded memory."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from tests.conformance.making import end, ids, outgoing, owner, record, rung, several, take

from umbel.broker.base import Consumer, Kind
from umbel.broker.memory import MemoryBroker
from umbel.clock import ManualClock
from umbel.errors import ImproperlyConfigured
from umbel.memory.store import drop_store, open_store
from umbel.results.memory import MemoryResults

DAY = 86_400.0


@pytest.fixture
def url() -> Iterator[str]:
    url = f"memory://{uuid.uuid4().hex}"
    yield url
    drop_store(url, "umbel")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(url: str, clock: ManualClock) -> MemoryBroker:
    return MemoryBroker(url, clock=clock)


@pytest.fixture
def consumer(broker: MemoryBroker) -> Consumer:
    consumer = broker.consumer(owner("q"))
    consumer.register()
    return consumer


def test_one_name_is_one_store(url: str, broker: MemoryBroker) -> None:
    broker.publish("q", several("a"))
    assert MemoryBroker(url).info("q").ready == 1
    assert MemoryBroker(url, prefix="other").info("q").ready == 0
    assert MemoryBroker(f"{url}-other").info("q").ready == 0


@pytest.mark.parametrize("prefix", ["umbel", "other"])
def test_results_find_what_the_broker_of_their_name_and_prefix_wrote(prefix: str, url: str) -> None:
    broker = MemoryBroker(url, prefix=prefix)
    broker.publish("q", several("a"))
    consumer = broker.consumer(owner("q"))
    consumer.register()
    (delivery,) = take(consumer, "q")
    consumer.cycle("q", [end(delivery, record=record().encode())], 0)
    assert MemoryResults(url, prefix=prefix).get("a") == record()
    assert MemoryResults(url, prefix=f"not-{prefix}").get("a") is None
    drop_store(url, prefix)


def test_a_dropped_store_is_empty_for_who_comes_next(url: str, broker: MemoryBroker) -> None:
    broker.publish("q", several("a"))
    drop_store(url, "umbel")
    assert MemoryBroker(url).info("q").ready == 0


@pytest.mark.parametrize("url", ["redis://localhost", "memory", "", "/tmp/memory"])
@pytest.mark.parametrize("adapter", [MemoryBroker, MemoryResults])
def test_another_address_is_refused_with_what_to_write(adapter: type, url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="memory://<name>"):
        adapter(url)


def test_delays_go_by_the_clock_that_was_handed_in(
    broker: MemoryBroker, consumer: Consumer, clock: ManualClock
) -> None:
    broker.publish("q", [outgoing("a", delay=3600.0)])
    batch = consumer.cycle("q", [], 1)
    assert (batch.deliveries, batch.next_due, batch.now) == ([], 3600.0, clock.time())
    clock.advance(3599.0)
    assert consumer.cycle("q", [], 1).next_due == 1.0
    clock.advance(1.0)
    assert ids(take(consumer, "q")) == ["a"]


def test_beats_change_the_score_though_the_clock_stands(broker: MemoryBroker, consumer: Consumer) -> None:
    liveness = broker.liveness()
    seen = liveness.scores()[consumer.owner.id]
    liveness.beat([consumer.owner])
    assert liveness.scores()[consumer.owner.id] > seen
    assert liveness.bury(consumer.owner.id, seen=seen) is None


def test_records_end_by_the_clock(url: str, clock: ManualClock) -> None:
    results = MemoryResults(url, clock=clock)
    results.store("a", record(), DAY)
    results.store("for-ever", record(), 0.0)
    clock.advance(DAY - 1.0)
    assert results.get("a") is not None
    clock.advance(1.0)
    assert results.get("a") is None
    clock.advance(10_000 * DAY)
    assert results.get("for-ever") is not None


def test_records_that_ended_take_no_memory(url: str, clock: ManualClock) -> None:
    results = MemoryResults(url, clock=clock)
    for number in range(1000):
        results.store(str(number), record(), 10.0)
        clock.advance(1.0)
    records = open_store(url, "umbel").records
    assert len(records._stored) <= 11


def test_a_renewed_record_outlives_its_first_end(url: str, clock: ManualClock) -> None:
    results = MemoryResults(url, clock=clock)
    results.store("a", record("STARTED"), 10.0)
    clock.advance(5.0)
    results.store("a", record(), 10.0)
    clock.advance(6.0)
    results.store("b", record(), 10.0)
    assert results.get("a") is not None


def test_waiters_that_are_gone_take_no_memory(url: str) -> None:
    results = MemoryResults(url)
    futures = [results.wait(str(number)) for number in range(100)]
    for future in futures[:50]:
        future.cancel()
    for number in range(50, 100):
        results.store(str(number), record(), 10.0)
    assert all(future.done() for future in futures)
    assert open_store(url, "umbel").records._waiting == {}
    assert results._waiting == set()


def test_revocations_are_forgotten_after_a_month(broker: MemoryBroker, clock: ManualClock) -> None:
    broker.revoke(["a"])
    clock.advance(30 * DAY - 1.0)
    broker.revoke(["b"])
    assert broker.revoked() == {"a", "b"}
    clock.advance(1.0)
    assert broker.revoked() == {"b"}


def test_dead_letters_end_by_the_clock(broker: MemoryBroker, consumer: Consumer, clock: ManualClock) -> None:
    broker.configure("q", {"dead_retention": 7 * DAY}, 1)
    broker.publish("q", several("ab"))
    first, second = take(consumer, "q")
    consumer.cycle("q", [end(first, Kind.DEAD, reason={})], 0)
    clock.advance(7 * DAY)
    consumer.cycle("q", [end(second, Kind.DEAD, reason={})], 0)
    assert ids(broker.dead("q")) == ["b"]


def test_the_oldest_age_never_runs_backwards(broker: MemoryBroker, clock: ManualClock) -> None:
    broker.publish("q", several("a"))
    clock.jump(-60.0)
    assert broker.info("q").oldest_age == 0.0


def test_a_message_without_a_head_is_carried_as_it_is(broker: MemoryBroker, consumer: Consumer) -> None:
    from umbel.broker.base import Outgoing

    broker.publish("q", [Outgoing(b"rubbish", "?"), Outgoing(b"", "?")])
    assert [delivery.payload for delivery in take(consumer, "q")] == [b"rubbish", b""]
    consumer.leave()
    assert broker.info("q").ready == 2


def test_an_emptied_store_loses_all_but_those_who_wait(url: str, broker: MemoryBroker) -> None:
    results = MemoryResults(url)
    future = results.wait("a")
    results.store("b", record(), 60.0)
    broker.publish("q", several("c"))
    broker.revoke(["d"])
    with open_store(url, "umbel").locked() as store:
        store.clear()
    assert (results.get("b"), broker.queues(), broker.revoked()) == (None, [], set())
    results.store("a", record(), 60.0)
    assert future.result(1.0) == record()


def test_bells_open_no_file_that_they_do_not_close(broker: MemoryBroker) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        bell = broker.bell()
        assert rung(bell, ["q"], 0.001) is None
        bell.close()
        bell.close()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_bell_that_was_told_and_closed_rings_for_another(broker: MemoryBroker) -> None:
    told = broker.bell()
    told.ask(["q"], 5.0)
    broker.publish("q", several("a"))
    told.close()
    other = broker.bell()
    assert rung(other, ["q"]) == "q"
    other.close()


def test_an_old_timeout_does_not_end_a_new_question(broker: MemoryBroker) -> None:
    bell = broker.bell()
    bell.ask(["q"], 0.1)
    broker.publish("q", several("a"))
    assert bell.answer() == "q"
    bell.ask(["p"], 5.0)
    import select

    assert select.select([bell.fileno()], [], [], 0.2)[0] == []
    broker.publish("p", several("b"))
    assert bell.answer() == "p"
    bell.close()
