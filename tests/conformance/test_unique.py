"""Locks of unique tasks: taken with the publish, in one step; ended by the end of the task, by nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.conformance.making import end, ids, outgoing, read, rung, take
from tests.conformance.waiting import until

from umbel.broker.base import Bell, Broker, Charge, Consumer, Delivery, Kind, Liveness, Outgoing, OwnerLost
from umbel.broker.tickets import Admission, Lock, Ticket
from umbel.errors import QueueClosed, QueueFull
from umbel.message import LOCKED, REPLACEABLE
from umbel.options import Conflict

Consumers = Callable[..., Consumer]
NAME = "task:7"
ENDED = (NAME, 0.0)


def unique(
    task_id: str, conflict: Conflict = Conflict.EXISTING, *, seconds: float = 60.0, name: str = NAME, **options: Any
) -> Outgoing:
    flags = LOCKED | (REPLACEABLE if conflict is Conflict.REPLACE else 0)
    made = outgoing(task_id, flags=flags, **options)
    made.lock = Lock(name, seconds, conflict)
    return made


def sent(broker: Broker, *messages: Outgoing) -> list[str | None]:
    """Publish; return for each message which task stands for it, None if it was sent itself."""
    broker.publish("q", messages)
    return [message.existing for message in messages]


def replaced(consumer: Consumer, delivery: Delivery) -> bool:
    ticket = Ticket(lock=NAME, task_id=read(delivery).headers["id"])
    return consumer.admit(delivery, ticket) is Admission.REPLACED


@pytest.mark.parametrize("conflict", [Conflict.EXISTING, Conflict.REJECT])
def test_an_equal_task_is_not_sent(broker: Broker, conflict: Conflict) -> None:
    assert sent(broker, unique("a", conflict)) == [None]
    assert sent(broker, unique("b", conflict)) == ["a"]
    assert broker.info("q").ready == 1


def test_another_key_and_another_queue_are_no_conflict(broker: Broker) -> None:
    assert sent(broker, unique("a"), unique("b", name="task:8")) == [None, None]
    elsewhere = unique("c")
    broker.publish("p", [elsewhere])
    assert elsewhere.existing is None


def test_one_call_may_hold_equal_tasks_and_others(broker: Broker, consumers: Consumers) -> None:
    assert sent(broker, outgoing("x"), unique("a"), unique("b"), outgoing("y"), unique("c")) == [
        None, None, "a", None, "a",
    ]  # fmt: skip
    assert ids(take(consumers(), "q")) == ["x", "a", "y"]


def test_a_task_that_is_sent_again_under_its_id_stands_for_itself(broker: Broker) -> None:
    assert sent(broker, unique("a")) == [None]
    assert sent(broker, unique("a")) == ["a"]
    assert broker.info("q").ready == 1


@pytest.mark.parametrize("kind", [Kind.ACK, Kind.DEAD])
def test_the_end_of_the_task_ends_the_lock(broker: Broker, consumers: Consumers, kind: Kind) -> None:
    sent(broker, unique("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    assert sent(broker, unique("b")) == ["a"]  # it runs
    consumer.cycle("q", [end(delivery, kind, lock=ENDED)], 0)
    assert sent(broker, unique("c")) == [None]


@pytest.mark.parametrize("kind", [Kind.RETRY, Kind.GIVE_BACK, Kind.REQUEUE])
def test_a_task_that_goes_on_keeps_the_lock(broker: Broker, consumers: Consumers, kind: Kind) -> None:
    sent(broker, unique("a", seconds=30.0))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    lock = (NAME, 60.0) if kind is Kind.RETRY else None
    consumer.cycle("q", [end(delivery, kind, payload=unique("a").payload, lock=lock)], 0)
    assert sent(broker, unique("b")) == ["a"]


def test_the_death_of_the_worker_does_not_end_the_lock(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    sent(broker, unique("a"))
    dead, living = consumers(), consumers()
    (lost,) = take(dead, "q")
    liveness.bury(dead.owner.id, charge=Charge.SUSPECT)
    assert sent(broker, unique("b")) == ["a"]
    (delivery,) = take(living, "q")
    with pytest.raises(OwnerLost):
        dead.cycle("q", [end(lost, lock=ENDED)], 0)
    assert sent(broker, unique("b")) == ["a"]
    living.cycle("q", [end(delivery, lock=ENDED)], 0)
    assert sent(broker, unique("c")) == [None]


def test_an_outcome_that_is_refused_does_not_end_the_lock(broker: Broker, consumers: Consumers) -> None:
    sent(broker, unique("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    consumer.cycle("q", [end(delivery, Kind.GIVE_BACK)], 0)
    assert consumer.cycle("q", [end(delivery, lock=ENDED)], 0).lost_tags == [delivery.tag]
    assert sent(broker, unique("b")) == ["a"]


def test_who_settles_for_another_ends_the_lock(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    sent(broker, unique("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    assert liveness.settle(consumer.owner.id, "q", end(delivery, lock=ENDED))
    assert sent(broker, unique("b")) == [None]


def test_a_task_ends_no_lock_but_its_own(broker: Broker, consumers: Consumers) -> None:
    sent(broker, unique("a", seconds=0.05))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    until(lambda: sent(broker, unique("b")) == [None])  # the lock of the first one is over
    consumer.cycle("q", [end(delivery, lock=ENDED)], 0)
    assert sent(broker, unique("c")) == ["b"]


def test_the_time_of_a_lock_counts_from_when_the_task_is_due(broker: Broker) -> None:
    sent(broker, unique("a", seconds=0.05, delay=60.0))
    until(lambda: sent(broker, unique("x", seconds=0.05, name="other")) == [None])
    until(lambda: sent(broker, unique("y", seconds=0.05, name="other")) == [None])  # so long a lock of 0.05 s lasts
    assert sent(broker, unique("b")) == ["a"]


def test_a_closed_queue_takes_no_lock(broker: Broker) -> None:
    broker.configure("q", {"intake": "Reject"}, 1)
    with pytest.raises(QueueClosed):
        sent(broker, unique("a"))
    broker.configure("q", {"intake": "Accept"}, 2)
    assert sent(broker, unique("b")) == [None]


def test_a_full_queue_takes_no_lock_and_a_refused_task_no_room(broker: Broker) -> None:
    broker.configure("q", {"max_length": 2}, 1)
    assert sent(broker, unique("a"), unique("b"), outgoing("x")) == [None, "a", None]
    with pytest.raises(QueueFull):
        sent(broker, unique("c", name="other"))
    broker.configure("q", {"max_length": 3}, 2)
    assert sent(broker, unique("d", name="other")) == [None]


def test_a_purge_ends_the_locks(broker: Broker) -> None:
    sent(broker, unique("a"))
    assert broker.purge("q") == 1
    assert sent(broker, unique("b")) == [None]
    assert sent(broker, unique("c")) == ["b"]


def test_a_task_replaces_one_that_has_not_started(broker: Broker, consumers: Consumers) -> None:
    assert sent(broker, unique("a", Conflict.REPLACE)) == [None]
    assert sent(broker, unique("b", Conflict.REPLACE)) == [None]
    consumer = consumers()
    first, second = take(consumer, "q")
    assert [replaced(consumer, first), replaced(consumer, second)] == [True, False]
    consumer.cycle("q", [end(first, lock=ENDED)], 0)
    assert sent(broker, unique("c")) == ["b"]


def test_a_delayed_task_that_is_replaced_is_ended_at_once(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    sent(broker, unique("a", Conflict.REPLACE, delay=3600.0))
    assert rung(bell, ["q"]) == "q"
    sent(broker, unique("b", Conflict.REPLACE, delay=3600.0))
    assert rung(bell, ["q"]) == "q"
    consumer = consumers()
    (first,) = take(consumer, "q")
    assert ids([first]) == ["a"]
    assert replaced(consumer, first)
    assert broker.info("q").delayed == 1


def test_a_task_whose_lock_is_over_still_runs(broker: Broker, consumers: Consumers) -> None:
    sent(broker, unique("a", Conflict.REPLACE, seconds=0.01))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    until(lambda: sent(broker, unique("x", seconds=0.01, name="other")) == [None])
    until(lambda: sent(broker, unique("y", seconds=0.01, name="other")) == [None])
    assert not replaced(consumer, delivery)


def test_of_many_who_send_at_once_one_does(broker: Broker, broker_factory: Callable[[], Broker]) -> None:
    answers: list[str | None] = []

    def send(number: int, own: Broker) -> None:
        answers.extend(sent(own, unique(f"t{number}")))

    threads = [threading.Thread(target=send, args=(number, broker_factory())) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(None) == 1
    assert len({answer for answer in answers if answer}) == 1
    assert broker.info("q").ready == 1
