"""A dead owner's messages go back to the front in their order, charged as said, whoever buries and however often."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.adapters import Adapter
from tests.conformance.making import end, ends, ids, outgoing, read, record, several, take
from tests.conformance.waiting import until

from umbel.broker.base import Broker, Charge, Consumer, Kind, Liveness, OwnerLost
from umbel.results.base import Results

Consumers = Callable[..., Consumer]


def _counts(consumer: Consumer, queue: str = "q") -> dict[str, tuple[int, int, int, int]]:
    """Fetch all; return id -> (attempt, lost, suspect, requeues)."""
    found = {}
    while deliveries := take(consumer, queue):
        for message in map(read, deliveries):
            found[message.headers["id"]] = (message.attempt, message.lost, message.suspect, message.requeues)
    return found


def test_messages_go_back_to_the_front_in_their_order(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", several("abcdef"))
    dead = consumers()
    deliveries = take(dead, "q", 4)
    dead.cycle("q", [end(deliveries[1])], 0)
    assert liveness.bury(dead.owner.id) == 3
    assert ids(take(consumers(), "q")) == ["a", "c", "d", "e", "f"]


def test_messages_of_all_queues_and_priorities_go_back(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    broker.publish("a", [outgoing("a-low", priority=1), outgoing("a-high", priority=9)])
    broker.publish("b", several(["b1", "b2"]))
    dead = consumers("a", "b", "c")
    take(dead, "a")
    take(dead, "b", 1)
    assert liveness.bury(dead.owner.id) == 3
    living = consumers("a", "b")
    assert ids(take(living, "a")) == ["a-high", "a-low"]
    assert ids(take(living, "b")) == ["b1", "b2"]


def test_many_messages_keep_their_order(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    names = [str(number) for number in range(1300)]
    broker.publish("q", several(names))
    dead, living = consumers(), consumers()
    while take(dead, "q", 256):
        pass
    broker.publish("q", several(["last"]))
    assert liveness.bury(dead.owner.id) == 1300
    got: list[str] = []
    while deliveries := take(living, "q"):
        got += ids(deliveries)
    assert got == [*names, "last"]
    assert broker.info("q").in_flight == 1301


@pytest.mark.parametrize(
    ("charge", "guilty", "others"),
    [
        (Charge.NONE, (1, 0, 0, 0), (1, 0, 0, 0)),
        (Charge.LOST, (1, 1, 0, 0), (1, 0, 0, 0)),
        (Charge.SUSPECT, (1, 0, 1, 0), (1, 0, 1, 0)),
        (Charge.REQUEUE, (1, 0, 0, 1), (1, 0, 0, 1)),
    ],
)
def test_each_charge_is_written_where_it_belongs(
    charge: Charge,
    guilty: tuple[int, int, int, int],
    others: tuple[int, int, int, int],
    broker: Broker,
    consumers: Consumers,
    liveness: Liveness,
) -> None:
    broker.publish("q", several("abc"))
    dead = consumers()
    deliveries = take(dead, "q", 2)
    liveness.bury(dead.owner.id, charge=charge, guilty=deliveries[1].tag)
    assert _counts(consumers()) == {"a": others, "b": guilty, "c": (0, 0, 0, 0)}


def test_only_those_that_were_under_way_are_suspect_where_that_is_known(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    broker.publish("q", several("abc"))
    dead = consumers()
    first, second, _ = take(dead, "q", 3)
    liveness.bury(dead.owner.id, charge=Charge.SUSPECT, suspects=[first.tag, second.tag])
    assert _counts(consumers()) == {"a": (1, 0, 1, 0), "b": (1, 0, 1, 0), "c": (1, 0, 0, 0)}


def test_without_a_guilty_one_nobody_is_charged_with_the_loss(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    broker.publish("q", several("ab"))
    dead = consumers()
    take(dead, "q")
    liveness.bury(dead.owner.id, charge=Charge.LOST)
    assert _counts(consumers()) == {"a": (1, 0, 0, 0), "b": (1, 0, 0, 0)}


def test_charges_add_up_over_several_deaths(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", [outgoing("a", lost=254, attempt=255)])
    for _ in range(3):
        dead = consumers()
        (delivery,) = take(dead, "q")
        liveness.bury(dead.owner.id, charge=Charge.LOST, guilty=delivery.tag)
    assert _counts(consumers()) == {"a": (258, 257, 0, 0)}


def test_an_owner_that_beat_meanwhile_is_not_buried(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    seen = liveness.scores()[consumer.owner.id]

    def beaten() -> bool:
        liveness.beat([consumer.owner])
        return liveness.scores()[consumer.owner.id] != seen

    until(beaten)
    assert liveness.bury(consumer.owner.id, seen=seen) is None
    assert liveness.dying() == []
    assert consumer.resume() == {"q": {delivery.tag: delivery.payload}}
    assert consumer.cycle("q", [end(delivery)], 0).lost_tags == []


def test_an_owner_whose_score_stood_still_is_buried(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    take(consumer, "q")
    liveness.beat([consumer.owner])
    assert liveness.bury(consumer.owner.id, seen=liveness.scores()[consumer.owner.id]) == 1


def test_a_second_burial_moves_nothing(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", several("ab"))
    dead, living = consumers(), consumers()
    take(dead, "q")
    assert liveness.bury(dead.owner.id) == 2
    assert ids(take(living, "q")) == ["a", "b"]
    assert not liveness.bury(dead.owner.id)
    assert len(living.resume()["q"]) == 2
    assert broker.info("q").ready == 0


def test_burying_somebody_unknown_does_nothing(liveness: Liveness) -> None:
    assert not liveness.bury("nobody")
    assert liveness.dying() == []


def test_after_a_burial_nothing_is_known_of_the_owner(consumers: Consumers, liveness: Liveness) -> None:
    dead, living = consumers(), consumers()
    liveness.bury(dead.owner.id)
    assert list(liveness.scores()) == [living.owner.id]
    assert [info.id for info in liveness.owners()] == [living.owner.id]
    assert liveness.dying() == []
    assert not any(liveness.held(dead.owner.id).values())


def test_a_burial_that_was_begun_is_ended_by_another(
    adapter: Adapter, broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    broker.publish("q", several("abc"))
    dead = consumers()
    take(dead, "q", 2)
    adapter.begin_burial(dead.owner.id)
    assert liveness.dying() == [dead.owner.id]
    assert dead.owner.id not in liveness.scores()
    other = adapter.broker().liveness()
    # The score as some reaper saw it long ago: what was begun is ended all the same.
    assert other.bury(dead.owner.id, seen=1.0) == 2
    other.close()
    assert liveness.dying() == []
    assert ids(take(consumers(), "q")) == ["a", "b", "c"]


def test_a_beat_tells_of_owners_that_are_gone(adapter: Adapter, consumers: Consumers, liveness: Liveness) -> None:
    buried, dying, living = consumers(), consumers(), consumers()
    liveness.bury(buried.owner.id)
    adapter.begin_burial(dying.owner.id)
    gone = liveness.beat([buried.owner, dying.owner, living.owner])
    assert sorted(gone) == sorted([buried.owner.id, dying.owner.id])
    assert list(liveness.scores()) == [living.owner.id]


def test_held_shows_what_an_owner_has(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", several("ab"))
    consumer = consumers("q", "p")
    expected = {delivery.tag: delivery.payload for delivery in take(consumer, "q")}
    held = {queue: tags for queue, tags in liveness.held(consumer.owner.id).items() if tags}
    assert held == {"q": expected}
    assert liveness.held("nobody") == {}


def test_settling_writes_one_outcome_in_the_owners_stead(
    broker: Broker, consumers: Consumers, liveness: Liveness, results: Results
) -> None:
    broker.publish("q", several("abc"))
    dead = consumers()
    first, second, third = take(dead, "q")
    failure = record("FAILURE", b"{}").encode()
    assert liveness.settle(dead.owner.id, "q", end(second, record=failure))
    assert dead.resume() == {"q": {first.tag: first.payload, third.tag: third.payload}}
    stored = results.get("b")
    assert stored is not None
    assert stored.state == "FAILURE"
    liveness.bury(dead.owner.id)
    assert _counts(consumers()) == {"a": (1, 0, 0, 0), "c": (1, 0, 0, 0)}


def test_settling_replies(broker: Broker, consumers: Consumers, liveness: Liveness, results: Results) -> None:
    future = results.wait("a")
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    outcome = end(delivery, record=record("FAILURE").encode(), reply_to=results.inbox())
    assert liveness.settle(consumer.owner.id, "q", outcome)
    assert future.result(20.0).state == "FAILURE"


def test_settling_a_dead_letter_keeps_it(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    assert liveness.settle(consumer.owner.id, "q", end(delivery, Kind.DEAD, reason={"why": "limit"}))
    assert broker.dead("q")[0].reason == {"why": "limit"}
    assert broker.info("q").in_flight == 0


def test_what_was_settled_is_no_more_the_owners(
    broker: Broker, consumers: Consumers, liveness: Liveness, results: Results
) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    outcome = end(delivery, record=record("REVOKED", b"settled").encode())
    assert liveness.settle(consumer.owner.id, "q", outcome)
    assert not liveness.settle(consumer.owner.id, "q", outcome)
    batch = consumer.cycle("q", [end(delivery, record=record(value=b"late").encode())], 0)
    assert batch.lost_tags == [delivery.tag]
    stored = results.get("a")
    assert stored is not None
    assert stored.value == b"settled"


def test_settling_for_the_buried_changes_nothing(
    broker: Broker, consumers: Consumers, liveness: Liveness, results: Results
) -> None:
    broker.publish("q", several("a"))
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    liveness.bury(consumer.owner.id)
    assert not liveness.settle(consumer.owner.id, "q", end(delivery, record=record().encode()))
    assert not liveness.settle("nobody", "q", end(delivery))
    assert not liveness.settle("nobody", "nowhere", end(delivery))
    assert results.get("a") is None
    assert broker.info("q").ready == 1


def test_an_owner_in_work_while_its_burial_begins_loses_nothing(
    adapter: Adapter, broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    broker.publish("q", several("ab"))
    consumer = consumers()
    first, _ = take(consumer, "q")
    adapter.begin_burial(consumer.owner.id)
    try:
        consumer.cycle("q", ends([first]), 0)
        acknowledged = True
    except OwnerLost:
        acknowledged = False
    moved = liveness.bury(consumer.owner.id)
    assert moved == (1 if acknowledged else 2)
    assert broker.info("q").ready == moved
