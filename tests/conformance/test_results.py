"""Result backends: records with a time to live, guarded by attempt and final states, and those who wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout

import pytest
from tests.conformance.conftest import RESULT_BACKENDS
from tests.conformance.making import end, ids, record, several, take
from tests.conformance.waiting import until

from umbel import states
from umbel.broker.base import Broker, Consumer, Kind
from umbel.record import Record
from umbel.results.base import Results

Consumers = Callable[..., Consumer]
MakeResults = Callable[[], Results]
pytestmark = pytest.mark.parametrize("adapter", RESULT_BACKENDS, indirect=True)


def _pending(future: Future[Record], seconds: float = 0.15) -> bool:
    try:
        future.result(seconds)
    except FutureTimeout:
        return True
    return False


def test_an_unknown_task_has_no_record(results: Results) -> None:
    assert results.get("a") is None


def test_a_stored_record_is_found_by_all(results_factory: MakeResults) -> None:
    stored = Record("SUCCESS", bytes(range(256)), 3, 1_700_000_000_123, {"worker": "w1", "traceback": "ä\n"})
    assert results_factory().store("a", stored, 60.0)
    assert results_factory().get("a") == stored


def test_a_custom_state_keeps_its_name(results: Results) -> None:
    results.store("a", record("PROGRESS", b'{"done": 5}'), 60.0)
    stored = results.get("a")
    assert stored is not None
    assert (stored.state, stored.value) == ("PROGRESS", b'{"done": 5}')


def test_a_record_ends_with_its_time(results: Results) -> None:
    results.store("long", record(), 60.0)
    # Again where the machine was so slow that its time was over before it was looked for
    until(lambda: results.store("short", record(states.STARTED), 0.1) and results.get("short"))
    until(lambda: results.get("short") is None)
    assert results.get("long") is not None


def test_storing_again_renews_the_time(results: Results) -> None:
    results.store("a", record(states.STARTED), 0.1)
    results.store("a", record(), 60.0)
    time.sleep(0.15)
    assert results.get("a") is not None


def test_a_forgotten_record_is_gone(results: Results) -> None:
    results.store("a", record(), 60.0)
    results.forget("a")
    assert results.get("a") is None
    results.forget("a")


def test_after_forgetting_anything_may_be_stored(results: Results) -> None:
    results.store("a", record(attempt=5), 60.0)
    results.forget("a")
    assert results.store("a", record(states.STARTED, attempt=0), 60.0)


GUARD = [
    # what stands there, what comes, whether it is written
    (record(states.STARTED), record(states.STARTED, b"x"), True),
    (record(states.STARTED), record(states.SUCCESS), True),
    (record("PROGRESS"), record("PROGRESS", b"2"), True),
    (record("PROGRESS"), record(states.FAILURE), True),
    (record(states.RETRY), record(states.STARTED, attempt=1), True),
    (record(states.SUCCESS), record(states.STARTED), False),
    (record(states.SUCCESS), record(states.RETRY), False),
    (record(states.SUCCESS), record("PROGRESS"), False),
    (record(states.FAILURE), record(states.STARTED), False),
    (record(states.REVOKED), record("PROGRESS"), False),
    (record(states.STARTED, attempt=2), record(states.STARTED, attempt=1), False),
    (record(states.STARTED, attempt=2), record(states.SUCCESS, attempt=1), False),
    (record(states.RETRY, attempt=256), record(states.SUCCESS, attempt=255), False),
    (record(states.FAILURE, attempt=0), record(states.SUCCESS, attempt=1), True),
    (record(states.SUCCESS, attempt=0), record(states.STARTED, attempt=1), False),
]


@pytest.mark.parametrize(("there", "comes", "written"), GUARD)
def test_no_record_goes_back(there: Record, comes: Record, written: bool, results: Results) -> None:
    assert results.store("a", there, 60.0)
    assert results.store("a", comes, 60.0) is written
    assert results.get("a") == (comes if written else there)


@pytest.mark.parametrize(("there", "comes", "written"), GUARD)
def test_a_consumer_stores_by_the_same_guard(
    there: Record, comes: Record, written: bool, consumers: Consumers, results: Results
) -> None:
    consumer = consumers()
    assert consumer.store("a", there, 60.0)
    assert consumer.store("a", comes, 60.0) is written
    assert results.get("a") == (comes if written else there)


def test_the_inbox_begins_with_the_first_wait(results: Results) -> None:
    if results.needs_cleaning:
        pytest.skip("a database sends no replies")
    assert results.inbox() is None
    results.get("a")
    results.store("a", record(), 60.0)
    assert results.inbox() is None
    results.wait("a").result(20.0)
    inbox = results.inbox()
    assert inbox
    results.wait("b").cancel()
    assert results.inbox() == inbox


def test_each_backend_has_an_inbox_of_its_own(results_factory: MakeResults) -> None:
    first, second = results_factory(), results_factory()
    if first.needs_cleaning:
        pytest.skip("a database sends no replies")
    first.wait("a").cancel()
    second.wait("a").cancel()
    assert first.inbox() != second.inbox()


def test_what_is_there_is_not_waited_for(results: Results) -> None:
    results.store("a", record(), 60.0)
    assert results.wait("a").result(20.0) == record()


@pytest.mark.parametrize("state", sorted(states.READY_STATES))
def test_a_wait_ends_with_any_ready_state(state: str, results_factory: MakeResults) -> None:
    waiting, writer = results_factory(), results_factory()
    future = waiting.wait("a")
    assert _pending(future, 0.02)
    writer.store("a", record(state), 60.0)
    assert future.result(20.0).state == state


def test_a_wait_does_not_end_with_a_state_that_is_not_ready(results_factory: MakeResults) -> None:
    waiting, writer = results_factory(), results_factory()
    future = waiting.wait("a")
    for state in (states.STARTED, "PROGRESS", states.RETRY):
        writer.store("a", record(state), 60.0)
    assert _pending(future)
    writer.store("a", record(), 60.0)
    assert future.result(20.0).state == states.SUCCESS


def test_a_wait_that_begins_with_a_started_task_ends_soon(results_factory: MakeResults) -> None:
    waiting, writer = results_factory(), results_factory()
    writer.store("a", record(states.STARTED), 60.0)
    future = waiting.wait("a")
    assert _pending(future, 0.05)
    writer.store("a", record(), 60.0)
    assert future.result(20.0).state == states.SUCCESS


def test_a_wait_lasts_over_retries(broker: Broker, consumers: Consumers, results: Results) -> None:
    future = results.wait("a")
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    retry = end(delivery, Kind.RETRY, payload=delivery.payload, record=record(states.RETRY).encode())
    retry.reply_to = results.inbox()
    (again,) = consumer.cycle("q", [retry], 1).deliveries
    assert _pending(future)
    consumer.cycle("q", [end(again, record=record(attempt=1).encode(), reply_to=results.inbox())], 0)
    assert future.result(20.0).attempt == 1


def test_an_acknowledgement_without_an_inbox_reaches_who_waits(
    broker: Broker, consumers: Consumers, results: Results
) -> None:
    broker.publish("q", several("a"))
    future = results.wait("a")
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    consumer.cycle("q", [end(delivery, record=record().encode())], 0)
    assert future.result(20.0) == record()


def test_a_message_that_names_the_inbox_needs_no_asking(broker: Broker, consumers: Consumers, results: Results) -> None:
    results.wait("before").cancel()
    inbox = results.inbox()
    broker.publish("q", several("ab"))
    consumer = consumers()
    first, second = take(consumer, "q")
    waiting = results.wait("a", inbox)
    assert _pending(waiting, 0.02)
    assert consumer.store("a", record(states.STARTED), 60.0)
    consumer.cycle("q", [end(first, record=record().encode(), reply_to=inbox)], 0)
    assert waiting.result(20.0) == record()
    consumer.cycle("q", [end(second, record=record(value=b"b").encode(), reply_to=inbox)], 0)
    assert results.wait("b", inbox).result(20.0).value == b"b"


def test_an_inbox_of_another_process_is_not_relied_upon(
    broker: Broker, consumers: Consumers, results_factory: MakeResults
) -> None:
    sender, waiter = results_factory(), results_factory()
    sender.wait("before").cancel()
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    waiting = waiter.wait("a", sender.inbox())
    consumer.cycle("q", [end(delivery, record=record().encode(), reply_to=sender.inbox())], 0)
    assert waiting.result(20.0) == record()


def test_who_comes_late_finds_the_record(broker: Broker, consumers: Consumers, results_factory: MakeResults) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    consumer.cycle("q", [end(delivery, record=record().encode())], 0)
    assert results_factory().wait("a").result(20.0) == record()


def test_all_who_wait_for_one_task_are_told(results_factory: MakeResults) -> None:
    backends = [results_factory() for _ in range(2)]
    futures = [backend.wait("a") for backend in backends for _ in range(3)]
    results_factory().store("a", record(), 60.0)
    for future in futures:
        assert future.result(20.0) == record()


def test_a_thousand_waiters(broker: Broker, consumers: Consumers, results: Results) -> None:
    before = threading.active_count()
    names = [str(number) for number in range(1000)]
    futures = {name: results.wait(name) for name in names}
    assert threading.active_count() <= before + 2
    broker.publish("q", several(names))
    consumer = consumers()
    outcomes = []
    while deliveries := consumer.cycle("q", outcomes, 256).deliveries:
        outcomes = [
            end(delivery, record=record(value=name.encode()).encode(), reply_to=results.inbox())
            for delivery, name in zip(deliveries, ids(deliveries), strict=True)
        ]
    for name, future in futures.items():
        assert future.result(20.0).value == name.encode()


def test_a_cancelled_wait_hurts_nobody(results_factory: MakeResults) -> None:
    waiting, writer = results_factory(), results_factory()
    cancelled, kept = waiting.wait("a"), waiting.wait("a")
    other = waiting.wait("b")
    assert cancelled.cancel()
    assert other.cancel()
    writer.store("b", record(), 60.0)
    writer.store("a", record(), 60.0)
    assert kept.result(20.0) == record()
    assert cancelled.cancelled()
    assert waiting.wait("b").result(20.0) == record()


def test_a_reply_nobody_waits_for_any_more_is_dropped(broker: Broker, consumers: Consumers, results: Results) -> None:
    results.wait("a").cancel()
    broker.publish("q", several("ab"))
    consumer = consumers()
    first, second = take(consumer, "q")
    consumer.cycle("q", [end(first, record=record().encode(), reply_to=results.inbox())], 0)
    future = results.wait("b")
    consumer.cycle("q", [end(second, record=record(value=b"b").encode(), reply_to=results.inbox())], 0)
    assert future.result(20.0).value == b"b"


def test_a_reply_to_a_client_that_is_gone_is_no_error(broker: Broker, consumers: Consumers, results: Results) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    batch = consumer.cycle("q", [end(delivery, record=record().encode(), reply_to="1-0123456789abcdef")], 0)
    assert batch.lost_tags == []
    assert results.get("a") is not None


def test_closing_cancels_who_waits(results: Results) -> None:
    futures = [results.wait("a"), results.wait("b")]
    results.close()
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(20.0)


def test_a_closed_backend_opens_again(results: Results) -> None:
    results.wait("a").cancel()
    results.close()
    results.store("a", record(), 60.0)
    assert results.get("a") == record()
    assert results.wait("a").result(20.0) == record()


def test_a_future_can_be_awaited(results_factory: MakeResults) -> None:
    waiting, writer = results_factory(), results_factory()

    async def scenario() -> Record:
        future = asyncio.wrap_future(waiting.wait("a"))
        await asyncio.get_running_loop().run_in_executor(None, writer.store, "a", record(), 60.0)
        return await asyncio.wait_for(future, 20.0)

    assert asyncio.run(scenario()) == record()


def test_callbacks_may_use_the_backend(results_factory: MakeResults) -> None:
    waiting, writer = results_factory(), results_factory()
    told: list[Record | None] = []
    done = threading.Event()

    def read_again(future: Future[Record]) -> None:
        told.append(waiting.get("a"))
        done.set()

    waiting.wait("a").add_done_callback(read_again)
    writer.store("a", record(), 60.0)
    assert done.wait(20.0)
    assert told == [record()]


def test_a_started_record_of_a_consumer_replies_to_nobody_who_waits_for_the_end(
    consumers: Consumers, results: Results
) -> None:
    future = results.wait("a")
    consumer = consumers()
    assert consumer.store("a", record(states.STARTED), 60.0, results.inbox())
    assert _pending(future)
    assert consumer.store("a", record(), 60.0, results.inbox())
    assert future.result(20.0) == record()
