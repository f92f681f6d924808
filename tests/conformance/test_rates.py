"""Rate limits by key: what is too early waits in the delayed set, once, until its slot."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.conformance.making import end, ends, ids, outgoing, read, rung, several, take
from tests.conformance.waiting import until

from umbel.broker.base import Bell, Broker, Consumer, Delivery, Kind
from umbel.broker.tickets import Admission, Ticket
from umbel.message import RESERVED

Consumers = Callable[..., Consumer]
HOURLY = Ticket(rate="mail", interval=3600.0)
QUICK = Ticket(rate="mail", interval=0.05)


def put_off(consumer: Consumer, deliveries: list[Delivery], ticket: Ticket, count: int) -> None:
    """Ask for one after the other until so many have to wait: not the second and those after it, where the machine was slow.

    What is left ends.
    """
    left = list(deliveries)
    started = []
    while count:
        started.append(left.pop(0))
        if consumer.admit(started[-1], ticket) is Admission.DELAYED:
            started.pop()
            count -= 1
    consumer.cycle("q", ends([*started, *left]), 0)


def test_the_first_starts_and_the_others_are_delayed(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abc"))
    consumer = consumers()
    assert [consumer.admit(one, HOURLY) for one in take(consumer, "q")] == ["go", "delayed", "delayed"]
    info = broker.info("q")
    assert (info.in_flight, info.delayed, info.ready) == (1, 2, 0)
    batch = consumer.cycle("q", [], 9)
    assert batch.deliveries == []
    assert batch.next_due is not None
    assert 3590 < batch.next_due <= 3601


def test_the_rate_is_that_of_all_owners(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("ab"))
    first, second = consumers(), consumers()
    assert first.admit(take(first, "q", 1)[0], HOURLY) == "go"
    assert second.admit(take(second, "q", 1)[0], HOURLY) == "delayed"


def test_keys_have_rates_of_their_own(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("ab"))
    consumer = consumers()
    first, second = take(consumer, "q")
    assert consumer.admit(first, HOURLY) == "go"
    assert consumer.admit(second, Ticket(rate="other", interval=3600.0)) == "go"


def test_each_waits_once_and_starts_keep_their_distance(broker: Broker, consumers: Consumers) -> None:
    count = 12
    broker.publish("q", several(f"t{number}" for number in range(count)))
    consumer = consumers()
    starts: list[float] = []
    asked = 0

    def work() -> bool:
        nonlocal asked
        for delivery in take(consumer, "q"):
            asked += 1
            if consumer.admit(delivery, QUICK) == "go":
                starts.append(time.monotonic())
                consumer.cycle("q", [end(delivery)], 0)
        return len(starts) == count

    began = time.monotonic()
    until(work)
    # A start is early by the tolerance at most, so the whole takes its time.
    assert starts[-1] - began >= (count - 1) * QUICK.interval - QUICK.tolerance - 0.002
    assert asked <= 6 * count  # nothing spins: fetched, delayed, fetched again; late ones may get a second slot
    assert broker.info("q").in_flight == 0


def test_a_slot_is_good_for_one_start(broker: Broker, consumers: Consumers) -> None:
    broker.publish("q", several("abcdefgh"))
    consumer = consumers()
    put_off(consumer, take(consumer, "q"), QUICK, 1)
    (waited,) = until(lambda: take(consumer, "q"))
    assert read(waited).flags & RESERVED
    assert consumer.admit(waited, QUICK) is Admission.GO
    back = consumer.cycle("q", [end(waited, Kind.GIVE_BACK)], 9).deliveries
    assert ids(back) == ids([waited])
    assert not read(back[0]).flags & RESERVED


def test_late_slots_do_not_start_all_at_once(broker: Broker, consumers: Consumers) -> None:
    """Nobody worked for a while: the slots are over, the rate still holds."""
    ticket = Ticket(rate="mail", interval=0.3)
    broker.publish("q", several("abcdefgh"))
    consumer = consumers()
    put_off(consumer, take(consumer, "q"), ticket, 3)
    due = until(lambda: ready if (ready := broker.promote("q") is None and broker.info("q").ready == 3) else None)
    assert due
    began = time.monotonic()
    answers = [consumer.admit(one, ticket) for one in take(consumer, "q")]
    assert answers[0] is Admission.GO
    # The tolerance is one interval; for each that passed while they asked, one more may start.
    assert answers.count(Admission.GO) <= 2 + (time.monotonic() - began) / ticket.interval


def test_a_delayed_start_that_becomes_the_earliest_rings(broker: Broker, consumers: Consumers, bell: Bell) -> None:
    broker.publish("q", [*several("ab"), outgoing("later", delay=7200.0)])
    consumer = consumers()
    deliveries = take(consumer, "q")
    assert rung(bell, ["q"]) == "q"  # of the publish
    assert [consumer.admit(one, HOURLY) for one in deliveries] == ["go", "delayed"]
    assert rung(bell, ["q"]) == "q"


def test_without_a_place_no_start_is_taken(broker: Broker, consumers: Consumers) -> None:
    both = Ticket(place="mail", places=1, rate="mail", interval=3600.0)
    broker.publish("q", several("ab"))
    consumer = consumers()
    first, second = take(consumer, "q")
    assert consumer.admit(first, Ticket(place="mail", places=1)) == "go"
    assert consumer.admit(second, both) == "parked"
    (second,) = consumer.cycle("q", [end(first, place=True)], 9).deliveries
    assert consumer.admit(second, both) == "go"


def test_a_delayed_start_takes_no_place(broker: Broker, consumers: Consumers) -> None:
    both = Ticket(place="mail", places=1, rate="mail", interval=3600.0)
    broker.publish("q", several("abc"))
    consumer = consumers()
    first, second, third = take(consumer, "q")
    assert consumer.admit(first, both) == "go"
    consumer.cycle("q", [end(first, place=True)], 0)
    assert consumer.admit(second, both) == "delayed"
    assert consumer.admit(third, Ticket(place="mail", places=1)) == "go"
