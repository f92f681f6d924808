"""Each outcome does what it says, in one step with what belongs to it, and only for what is still owned."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.making import end, ends, ids, outgoing, read, record, several, take
from tests.conformance.waiting import until

from umbel import message as messages
from umbel import states
from umbel.broker.base import Broker, Consumer, Kind, Outcome
from umbel.results.base import Results

Consumers = Callable[..., Consumer]


def test_an_acknowledged_message_is_gone(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("ab"))
    consumer = consumers()
    batch = consumer.cycle("q", ends(take(consumer, "q")), 10)
    assert (batch.deliveries, batch.lost_tags) == ([], [])
    assert consumer.resume() == {"q": {}}
    assert broker.info("q").in_flight == 0


def test_acknowledging_and_fetching_happen_in_one_call(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("ab"))
    consumer = consumers()
    first = take(consumer, "q", 1)
    assert ids(consumer.cycle("q", ends(first), 1).deliveries) == ["b"]


def test_a_message_in_work_stays_owned_until_its_outcome(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    first, second, third = take(consumer, "q")
    consumer.cycle("q", [end(second)], 0)
    assert consumer.resume() == {"q": {first.tag: first.payload, third.tag: third.payload}}


def test_a_tag_is_never_used_twice(broker: Broker, consumers: Consumers) -> None:
    consumer = consumers()
    seen: list[int] = []
    for _ in range(5):
        broker.publish("q", several("ab"))
        deliveries = take(consumer, "q", 3)
        seen += [delivery.tag for delivery in deliveries]
        consumer.cycle("q", ends(deliveries[:1]) + ends(deliveries[1:], Kind.GIVE_BACK), 0)
    assert len(set(seen)) == len(seen)


def test_no_two_queues_of_an_owner_share_a_tag(broker: Broker, consumers: Consumers) -> None:
    consumer = consumers("a", "b", "c")
    tags = []
    for queue in "abcabc":
        broker.publish(queue, several("12"))
        deliveries = take(consumer, queue, 2)
        tags += [delivery.tag for delivery in deliveries]
        assert consumer.cycle(queue, ends(deliveries), 0).lost_tags == []
        assert consumer.cycle(queue, ends(deliveries), 0).lost_tags == [delivery.tag for delivery in deliveries]
    assert len(set(tags)) == 12


def test_tags_go_on_after_registering_again(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    first = take(consumer, "q", 1)
    consumer.register()
    assert consumer.resume() == {"q": {first[0].tag: first[0].payload}}
    assert take(consumer, "q", 1)[0].tag > first[0].tag


def test_an_outcome_counts_once(broker: Broker, consumers: Consumers, results: Results) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    assert consumer.cycle("q", [end(delivery, record=record(value=b"1").encode())], 0).lost_tags == []
    again = consumer.cycle("q", [end(delivery, record=record(value=b"2").encode())], 0)
    assert again.lost_tags == [delivery.tag]
    stored = results.get("a")
    assert stored is not None
    assert stored.value == b"1"


@pytest.mark.parametrize("kind", list(Kind))
def test_nothing_is_done_for_a_tag_that_is_not_owned(
    kind: Kind, broker: Broker, consumers: Consumers, results: Results
) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    stranger = Outcome(delivery.tag + 1, kind, "b", record().encode(), 60.0, None, outgoing("b").payload, reason={})
    assert consumer.cycle("q", [stranger], 5).lost_tags == [delivery.tag + 1]
    info = broker.info("q")
    assert (info.ready, info.delayed, info.in_flight, info.dead) == (0, 0, 1, 0)
    assert results.get("b") is None


def test_lost_tags_leave_the_other_outcomes_alone(broker: Broker, consumers: Consumers, results: Results) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    first, second, third = take(consumer, "q")
    consumer.cycle("q", [end(second)], 0)
    batch = consumer.cycle("q", [end(d, record=record().encode()) for d in (first, second, third)], 0)
    assert batch.lost_tags == [second.tag]
    assert results.get("a") is not None
    assert results.get("b") is None
    assert results.get("c") is not None


def test_one_owners_tags_say_nothing_about_anothers(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("ab"))
    first, second = consumers(), consumers()
    (mine,) = take(first, "q", 1)
    (other,) = take(second, "q", 1)
    assert first.cycle("q", ends([mine]), 0).lost_tags == []
    assert second.resume() == {"q": {other.tag: other.payload}}


def test_the_record_and_the_reply_come_with_the_acknowledgement(
    broker: Broker, consumers: Consumers, results: Results
) -> None:
    future = results.wait("a")
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    consumer.cycle("q", [end(delivery, record=record().encode(), reply_to=results.inbox())], 0)
    assert future.result(20.0).value == b"42"
    stored = results.get("a")
    assert stored is not None
    assert (stored.state, stored.value) == (states.SUCCESS, b"42")


def test_records_of_many_outcomes_find_their_tasks(broker: Broker, consumers: Consumers, results: Results) -> None:
    names = [str(number) for number in range(100)]
    futures = [results.wait(name) for name in names]
    broker.publish("q", several(names))
    consumer = consumers()
    outcomes = []
    for number, delivery in enumerate(take(consumer, "q")):
        stored = record(value=str(number).encode()).encode() if number % 3 else None
        outcomes.append(end(delivery, record=stored, reply_to=results.inbox() if number % 2 else None))
    consumer.cycle("q", outcomes, 0)
    for number, future in enumerate(futures):
        if number % 3:
            assert future.result(20.0).value == str(number).encode()
        else:
            assert results.get(names[number]) is None
            future.cancel()


def test_a_retry_replaces_the_message(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("ab"))
    consumer = consumers()
    first, second = take(consumer, "q")
    message = read(first)
    message.attempt, message.headers["retries"], message.body = 1, 1, b"changed"
    consumer.cycle("q", [end(first, Kind.RETRY, payload=message.encode()), end(second)], 0)
    (again,) = take(consumer, "q")
    got = read(again)
    assert (got.headers["id"], got.attempt, got.headers["retries"], got.body) == ("a", 1, 1, b"changed")
    assert again.tag > second.tag


@pytest.mark.parametrize("delay", [0.0, 0.002])
def test_a_retry_is_taken_over_byte_for_byte(delay: float, broker: Broker, consumers: Consumers) -> None:
    """The time of enqueuing too: what a task may take in all (``expires``) counts from its first sending."""
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    message = read(delivery)
    message.enqueued_ms -= 5000
    consumer.cycle("q", [end(delivery, Kind.RETRY, payload=message.encode(), delay=delay)], 0)
    (again,) = until(lambda: take(consumer, "q"))
    assert again.payload == message.encode()


def test_a_retry_stands_behind_what_waits(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    (delivery,) = take(consumer, "q", 1)
    consumer.cycle("q", [end(delivery, Kind.RETRY, payload=delivery.payload)], 0)
    assert ids(take(consumer, "q")) == ["b", "c", "a"]


def test_a_retry_goes_by_the_priority_of_the_new_message(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    (delivery,) = take(consumer, "q", 1)
    message = read(delivery)
    message.priority = 9
    consumer.cycle("q", [end(delivery, Kind.RETRY, payload=message.encode())], 0)
    assert ids(take(consumer, "q")) == ["a", "b", "c"]


def test_a_retry_waits_for_its_delay(broker: Broker, consumers: Consumers, results: Results) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    stored = record(states.RETRY, b"{}").encode()
    batch = consumer.cycle("q", [end(delivery, Kind.RETRY, payload=delivery.payload, delay=0.2, record=stored)], 1)
    assert batch.deliveries == []
    assert batch.next_due is not None
    assert 0.0 < batch.next_due <= 0.201
    assert broker.info("q").delayed == 1
    seen = results.get("a")
    assert seen is not None
    assert seen.state == states.RETRY
    assert ids(until(lambda: take(consumer, "q"))) == ["a"]


def test_give_backs_go_to_the_front_in_their_order_uncharged(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abcd"))
    consumer = consumers()
    deliveries = take(consumer, "q", 3)
    consumer.cycle("q", ends(deliveries, Kind.GIVE_BACK), 0)
    again = take(consumer, "q")
    assert ids(again) == ["a", "b", "c", "d"]
    assert [delivery.payload for delivery in again[:3]] == [delivery.payload for delivery in deliveries]


def test_give_backs_go_to_the_front_of_their_priority(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [outgoing("high", priority=8), outgoing("low1", priority=2), outgoing("low2", priority=2)])
    consumer = consumers()
    deliveries = take(consumer, "q", 2)
    broker.publish("q", [outgoing("high2", priority=8)])
    consumer.cycle("q", ends(deliveries, Kind.GIVE_BACK), 0)
    assert ids(take(consumer, "q")) == ["high", "high2", "low1", "low2"]


def test_what_is_given_back_can_be_fetched_by_the_same_call(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    deliveries = take(consumer, "q")
    (again,) = consumer.cycle("q", ends(deliveries, Kind.GIVE_BACK), 1).deliveries
    assert again.tag > deliveries[0].tag
    assert again.payload == deliveries[0].payload


def test_a_give_back_with_a_delay_waits(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    batch = consumer.cycle("q", [end(delivery, Kind.GIVE_BACK, delay=0.2)], 1)
    assert batch.deliveries == []
    assert broker.info("q").delayed == 1
    (again,) = until(lambda: take(consumer, "q"))
    assert again.payload == delivery.payload


def test_a_requeue_goes_to_the_front_and_is_counted(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    consumer.cycle("q", ends(take(consumer, "q", 2), Kind.REQUEUE), 0)
    deliveries = take(consumer, "q")
    assert ids(deliveries) == ["a", "b", "c"]
    for delivery, requeues in zip(deliveries, (1, 1, 0), strict=True):
        message = read(delivery)
        assert (message.requeues, message.lost, message.suspect) == (requeues, 0, 0)
        assert message.attempt == requeues


def test_give_backs_and_requeues_keep_their_common_order(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abcd"))
    consumer = consumers()
    kinds = [Kind.GIVE_BACK, Kind.REQUEUE, Kind.ACK, Kind.GIVE_BACK]
    consumer.cycle("q", [end(d, kind) for d, kind in zip(take(consumer, "q"), kinds, strict=True)], 0)
    assert ids(take(consumer, "q")) == ["a", "b", "d"]


def test_counts_stop_at_their_end(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", [outgoing("a", attempt=255, requeues=65535)])
    consumer = consumers()
    consumer.cycle("q", ends(take(consumer, "q"), Kind.REQUEUE), 0)
    (delivery,) = take(consumer, "q")
    assert (read(delivery).attempt, read(delivery).requeues) == (256, 65535)


def test_a_dead_letter_keeps_message_and_reason(broker: Broker, consumers: Consumers, results: Results) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    reason = {"type": "WorkerLost", "text": "died thrice \u2022", "count": 3}
    failure = record(states.FAILURE, b'{"type": "WorkerLostError"}')
    consumer.cycle("q", [end(delivery, Kind.DEAD, reason=reason, record=failure.encode())], 0)
    (letter,) = broker.dead("q")
    assert (letter.reason, letter.payload) == (reason, delivery.payload)
    stored = results.get("a")
    assert stored is not None
    assert stored.state == states.FAILURE


def test_kinds_mix_in_one_call(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abcdef"))
    consumer = consumers()
    a, b, c, d, e, f = take(consumer, "q")
    retry = messages.decode(b.payload)
    retry.attempt = 1
    batch = consumer.cycle(
        "q",
        [
            end(a, record=record().encode()),
            end(b, Kind.RETRY, payload=retry.encode()),
            end(c, Kind.GIVE_BACK),
            end(d, Kind.DEAD, reason={"why": "test"}, record=record(states.FAILURE).encode()),
            end(e, Kind.REQUEUE),
        ],
        10,
    )
    assert ids(batch.deliveries) == ["c", "e", "b"]
    assert ids(broker.dead("q")) == ["d"]
    assert broker.info("q").in_flight == 4
    assert f.tag in consumer.resume()["q"]
