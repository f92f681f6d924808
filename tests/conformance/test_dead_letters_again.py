"""Dead letters are sent again or dropped: each once, whoever asks, and nothing is lost in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.conformance.adapters import Adapter, RedisAdapter
from tests.conformance.making import die, end, ends, ids, read, record, rung, several, take
from tests.conformance.waiting import until

from umbel.broker.base import Bell, Broker, Charge, Consumer, DeadLetter, Kind, Liveness
from umbel.errors import QueueClosed
from umbel.results.base import Results

Consumers = Callable[..., Consumer]


def _die(broker: Broker, consumer: Consumer, names: str, **more: object) -> list[DeadLetter]:
    """Have messages of these ids die, and return their letters in the order of the ids."""
    broker.publish("q", several(names, **more))
    consumer.cycle("q", ends(take(consumer, "q"), Kind.DEAD, reason={"reason": "Rejected"}), 0)
    return sorted(broker.dead("q"), key=lambda letter: ids([letter])[0])


def test_a_letter_that_is_sent_again_is_as_if_it_had_never_been_delivered(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    # Given a message that was charged, suspected and requeued, and died
    broker.publish("q", several("a", body=b'["kept"]', priority=7))
    for charge in (Charge.LOST, Charge.SUSPECT, Charge.REQUEUE):
        doomed = consumers()
        (delivery,) = take(doomed, "q")
        liveness.bury(doomed.owner.id, charge=charge, guilty=delivery.tag)
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    dead = read(delivery)
    assert (dead.attempt, dead.lost, dead.suspect, dead.requeues) == (3, 1, 1, 1)
    consumer.cycle("q", [end(delivery, Kind.DEAD, reason={})], 0)
    # When it is sent again
    until(lambda: broker.time() * 1000 > dead.enqueued_ms + 5)
    assert broker.retry_dead("q", broker.dead("q")) == 1
    # Then only its call is left of it
    assert broker.dead("q") == []
    (again,) = take(consumer, "q")
    message = read(again)
    assert (message.attempt, message.lost, message.suspect, message.requeues, message.flags) == (0, 0, 0, 0, 0)
    assert (message.headers, message.body, message.priority) == (dead.headers, b'["kept"]', 7)
    assert message.enqueued_ms > dead.enqueued_ms
    assert message.nonce != dead.nonce


def test_a_letter_is_sent_again_once_however_often_it_is_asked_for(broker: Broker, consumers: Consumers) -> None:
    letters = _die(broker, consumers(), "abc")
    assert broker.retry_dead("q", letters[:2]) == 2
    assert broker.retry_dead("q", letters) == 1
    assert broker.retry_dead("q", letters) == 0
    assert sorted(ids(take(consumers(), "q"))) == ["a", "b", "c"]


def test_many_who_send_the_same_letters_again_send_each_once(
    broker: Broker, broker_factory: Callable[[], Broker], consumers: Consumers
) -> None:
    names = [f"{number:03}" for number in range(500)]
    broker.publish("q", several(names))
    consumer = consumers()
    consumer.cycle("q", ends(take(consumer, "q", 500), Kind.DEAD, reason={}), 0)
    letters = broker.dead("q", 1000)
    brokers = [broker_factory() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda one: one.retry_dead("q", letters), brokers))
    assert sum(sent) == 500
    assert sorted(ids(take(consumer, "q", 1000))) == names


def test_sending_again_rings(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    letters = _die(broker, consumers(), "a")
    while rung(bell, ["q"], 0.05):
        pass
    broker.retry_dead("q", letters)
    assert rung(bell, ["q"]) == "q"


def test_a_closed_queue_keeps_its_letters(broker: Broker, consumers: Consumers) -> None:
    letters = _die(broker, consumers(), "ab")
    broker.configure("q", {"intake": "Reject"}, 1)
    with pytest.raises(QueueClosed, match="intake is Reject"):
        broker.retry_dead("q", letters)
    assert len(broker.dead("q")) == 2
    broker.configure("q", {"intake": "Accept"}, 2)
    assert broker.retry_dead("q", letters) == 2


def test_the_stored_failure_goes_so_that_waiters_wait_for_the_new_end(
    broker: Broker, results: Results, consumers: Consumers
) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    consumer.cycle("q", [end(delivery, Kind.DEAD, reason={}, record=record("FAILURE").encode())], 0)
    assert results.get("a") is not None
    broker.retry_dead("q", broker.dead("q"))
    assert results.get("a") is None
    # Who waits from now on hears of the new end
    waiting = results.wait("a")
    assert not waiting.done()
    (again,) = take(consumer, "q")
    consumer.cycle("q", [end(again, record=record("SUCCESS").encode())], 0)
    assert waiting.result(20.0).state == "SUCCESS"


def test_who_waits_for_a_letter_without_a_result_goes_on_waiting(
    broker: Broker, results: Results, consumers: Consumers
) -> None:
    letters = _die(broker, consumers(), "a")
    waiting = results.wait("a")
    broker.retry_dead("q", letters)
    consumer = consumers()
    (again,) = take(consumer, "q")
    consumer.cycle("q", [end(again, record=record("SUCCESS").encode())], 0)
    assert waiting.result(20.0).state == "SUCCESS"


@pytest.mark.parametrize("payload", [b"", b"x", b"no message of ours, but long enough to have a head"])
def test_what_cannot_be_read_is_sent_again_as_well(payload: bytes, broker: Broker, consumers: Consumers) -> None:
    die(broker, "q", payload, {"reason": "Unreadable"})
    assert broker.retry_dead("q", broker.dead("q")) == 1
    (delivery,) = take(consumers(), "q")
    assert len(delivery.payload) == len(payload)


def test_letters_are_dropped_one_by_one(broker: Broker, consumers: Consumers) -> None:
    first, second, third = _die(broker, consumers(), "abc")
    assert broker.drop_dead("q", [first, third]) == 2
    assert broker.drop_dead("q", [first]) == 0
    assert broker.retry_dead("q", [first, third]) == 0
    assert ids(broker.dead("q")) == ids([second])


def test_letters_of_a_span_of_time(broker: Broker, consumers: Consumers) -> None:
    consumer = consumers()
    for name in "abc":
        _die(broker, consumer, name)
        later = broker.time() + 0.002
        until(lambda: broker.time() > later)  # noqa: B023 - called at once
    newest, middle, oldest = broker.dead("q")
    assert ids(broker.dead("q", since=middle.died)) == ["c", "b"]
    assert ids(broker.dead("q", before=middle.died)) == ["a"]
    assert ids(broker.dead("q", since=middle.died, before=newest.died)) == ["b"]
    assert ids(broker.dead("q", 1, 1, since=oldest.died)) == ["b"]


def test_old_letters_are_trimmed_also_where_nothing_dies_any_more(broker: Broker, consumers: Consumers) -> None:
    _die(broker, consumers(), "a")
    assert broker.trim_dead("q") == 0
    broker.configure("q", {"dead_retention": 0.05}, 1)
    time.sleep(0.06)
    assert broker.trim_dead("q") == 1
    assert broker.info("q").dead == 0


def test_a_message_without_an_owner_is_kept_as_the_policy_says(broker: Broker) -> None:
    (message,) = several("a")
    die(broker, "q", message.payload, {"reason": "Rejected"})
    assert [letter.reason for letter in broker.dead("q")] == [{"reason": "Rejected"}]
    broker.configure("q", {"dead_policy": "Discard"}, 1)
    die(broker, "q", message.payload, {"reason": "Rejected"})
    assert len(broker.dead("q")) == 1


def test_a_full_redis_lets_dead_letters_go(adapter: Adapter, broker: Broker, consumers: Consumers) -> None:
    if not isinstance(adapter, RedisAdapter):
        pytest.skip("memory has no maxmemory")
    letters = _die(broker, consumers(), "ab")
    with adapter.server.client() as client:
        client.config_set("maxmemory", "1")
        try:
            assert broker.retry_dead("q", letters[:1]) == 1
            assert broker.drop_dead("q", letters[1:]) == 1
        finally:
            client.config_set("maxmemory", "0")
