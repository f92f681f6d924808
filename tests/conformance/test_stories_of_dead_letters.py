"""Who died with a message is remembered for its dead letter, and a dead letter is forwarded once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.adapters import Adapter, RedisAdapter
from tests.conformance.making import ends, ids, outgoing, read, several, take

from umbel.broker.base import Broker, Charge, Consumer, Death, Kind, Liveness
from umbel.control import obituaries
from umbel.control.reaper import bury_worker

Consumers = Callable[..., Consumer]


def test_a_death_is_told_of_the_messages_that_it_was_charged_to(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    broker.publish("q", several("ab"))
    guilty, innocent = take(consumers(), "q")
    death = Death("o1", "w1", "host-1", 17, "pod-1", "pool-1", "lost", "it exited")
    liveness.note_death(death, {"q": [guilty.payload]})
    (told,) = broker.post_mortem("q", guilty.payload).deaths
    assert told.at == pytest.approx(broker.time(), abs=30)
    assert told.as_dict() == {**death.as_dict(), "at": told.at}
    assert broker.post_mortem("q", innocent.payload).deaths == []


def test_deaths_are_told_in_order_and_one_that_was_noted_twice_once(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    broker.publish("q", several("a"))
    (delivery,) = take(consumers(), "q")
    for owner in ("o1", "o2", "o2", "o3"):
        liveness.note_death(Death(owner), {"q": [delivery.payload]})
    assert [death.owner for death in broker.post_mortem("q", delivery.payload).deaths] == ["o1", "o2", "o3"]


def test_the_story_survives_burials_and_ends_when_it_is_sent_again(
    broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    broker.publish("q", several("a"))
    for _ in range(3):
        doomed = consumers()
        (delivery,) = take(doomed, "q")
        bury_worker(liveness, "w", {doomed.owner.id: None}, {doomed.owner.id: doomed.owner}, "it fell silent")
    consumer = consumers()
    (delivery,) = take(consumer, "q")
    assert read(delivery).lost == 3
    deaths = broker.post_mortem("q", delivery.payload).deaths
    assert [(death.charge, death.cause) for death in deaths] == [("lost", "it fell silent")] * 3
    consumer.cycle("q", ends([delivery], Kind.DEAD, reason={}), 0)
    broker.retry_dead("q", broker.dead("q"))
    (again,) = take(consumer, "q")
    assert broker.post_mortem("q", again.payload).deaths == []


def test_a_crowd_is_told_of_as_suspects(broker: Broker, consumers: Consumers, liveness: Liveness) -> None:
    broker.publish("q", several("abc"))
    doomed = consumers()
    take(doomed, "q")
    bury_worker(liveness, "w", {doomed.owner.id: None}, {}, "it fell silent")
    for _ in range(3):
        consumer = consumers()
        (delivery,) = take(consumer, "q")
        (death,) = broker.post_mortem("q", delivery.payload).deaths
        assert (death.owner, death.worker, death.charge) == (doomed.owner.id, "w", "suspect")


def test_only_who_is_charged_is_told_of() -> None:
    held = {"q": {1: b"a", 2: b"b"}, "p": {3: b"c"}}
    assert obituaries.charged(held, Charge.LOST, 2) == {"q": [b"b"]}
    assert obituaries.charged(held, Charge.SUSPECT, None) == {"q": [b"a", b"b"], "p": [b"c"]}
    assert obituaries.charged(held, Charge.NONE, None) == {}
    assert obituaries.charged(held, Charge.REQUEUE, None) == {}


def test_what_is_remembered_is_bounded(adapter: Adapter, broker: Broker, liveness: Liveness) -> None:
    payloads = [one.payload for one in several("ab")]
    liveness.note_death(Death("first"), {"q": payloads[:1]})
    for number in range(510):
        liveness.note_death(Death(f"o{number}"), {"q": payloads[1:]})
    assert broker.post_mortem("q", payloads[0]).deaths == []
    assert len(broker.post_mortem("q", payloads[1]).deaths) == 500


@pytest.mark.parametrize("payload", [b"", b"too short"])
def test_what_has_no_head_has_no_story(payload: bytes, broker: Broker, liveness: Liveness) -> None:
    liveness.note_death(Death("o1"), {"q": [payload]})
    assert broker.post_mortem("q", payload).deaths == []


def test_the_queue_that_receives_is_told(broker: Broker) -> None:
    assert broker.post_mortem("q", b"").forward is None
    broker.configure("q", {"dead_policy": "Forward", "dead_forward": "graveyard"}, 1)
    assert broker.post_mortem("q", b"").forward == "graveyard"
    broker.configure("q", {"dead_policy": "Keep", "dead_forward": None}, 2)
    assert broker.post_mortem("q", b"").forward is None


def test_a_dead_letter_is_forwarded_once_however_often_it_is_tried(broker: Broker, consumers: Consumers) -> None:
    original, fresh = outgoing("a").payload, outgoing("a", priority=8).payload
    assert broker.forward("graveyard", fresh, original)
    assert broker.forward("graveyard", outgoing("a").payload, original)
    (delivery,) = take(consumers("graveyard"), "graveyard")
    assert read(delivery).priority == 8
    assert read(delivery).enqueued_ms > 0
    # Another message of the same task is another letter
    assert broker.forward("graveyard", fresh, outgoing("a").payload)
    assert broker.info("graveyard").ready == 1


def test_a_closed_queue_receives_nothing(broker: Broker) -> None:
    original = outgoing("a").payload
    broker.configure("graveyard", {"intake": "Reject"}, 1)
    assert not broker.forward("graveyard", original, original)
    broker.configure("graveyard", {"intake": "Accept"}, 2)
    assert broker.forward("graveyard", original, original)
    assert "graveyard" in broker.queues()


def test_a_full_redis_forwards_and_notes_deaths(
    adapter: Adapter, broker: Broker, consumers: Consumers, liveness: Liveness
) -> None:
    if not isinstance(adapter, RedisAdapter):
        pytest.skip("memory has no maxmemory")
    original = outgoing("a").payload
    broker.publish("graveyard", several("b"))
    with adapter.server.client() as client:
        client.config_set("maxmemory", "1")
        try:
            assert broker.forward("graveyard", original, original)
            liveness.note_death(Death("o1"), {"q": [original]})
        finally:
            client.config_set("maxmemory", "0")
    assert len(broker.post_mortem("q", original).deaths) == 1
    assert sorted(ids(take(consumers("graveyard"), "graveyard"))) == ["a", "b"]
