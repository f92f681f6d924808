"""A message whose process was killed on purpose is marked before it goes back, and who waits for it is told already."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance.making import die, outgoing, read, record, several, take

from umbel.broker.base import Broker, Consumer, Liveness
from umbel.message import OVERDUE, UNFINISHED
from umbel.results.base import Results

Consumers = Callable[..., Consumer]


def test_the_mark_goes_back_with_the_message_and_no_other_has_it(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    broker.publish("q", [*several("ab"), outgoing("c", flags=UNFINISHED)])
    killed = consumers()
    _, second, third = take(killed, "q")
    assert liveness.sentence(killed.owner.id, "q", second.tag, OVERDUE)
    assert liveness.sentence(killed.owner.id, "q", second.tag, OVERDUE)
    assert liveness.sentence(killed.owner.id, "q", third.tag, OVERDUE)
    liveness.bury(killed.owner.id)
    again = [read(delivery) for delivery in take(consumers(), "q")]
    assert [(message.headers["id"], message.flags) for message in again] == [
        ("a", 0),
        ("b", OVERDUE),
        ("c", OVERDUE | UNFINISHED),
    ]
    assert [message.lost for message in again] == [0, 0, 0]


def test_what_the_owner_does_not_hold_any_more_is_not_marked(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    broker.publish("q", several("a"))
    killed = consumers()
    (delivery,) = take(killed, "q")
    assert not liveness.sentence(killed.owner.id, "q", delivery.tag + 1, OVERDUE)
    liveness.bury(killed.owner.id)
    assert not liveness.sentence(killed.owner.id, "q", delivery.tag, OVERDUE)
    assert not liveness.sentence("nobody", "q", delivery.tag, OVERDUE)
    (again,) = take(consumers(), "q")
    assert read(again).flags == 0


def test_a_record_is_stored_in_the_stead_of_a_dead_owner(
    broker: Broker, consumers: Consumers, liveness: Liveness, results: Results
) -> None:
    waiting = results.wait("a")
    assert liveness.store("a", record("FAILURE", attempt=1), 60.0)
    assert waiting.result(20.0).state == "FAILURE"
    assert not liveness.store("a", record("FAILURE", attempt=0), 60.0)


def test_a_mark_ends_when_a_dead_letter_is_sent_again(broker: Broker, consumers: Consumers) -> None:
    message = outgoing("a", flags=OVERDUE)
    die(broker, "q", message.payload, {"reason": "MaxDeliveries"})
    assert broker.retry_dead("q", broker.dead("q")) == 1
    (again,) = take(consumers(), "q")
    assert read(again).flags == 0
