"""Whatever happens in whatever order: no key has more than its places, none is leaked, no message is lost or run twice."""

from __future__ import annotations

from random import Random

import pytest
from tests.conformance.making import end, outgoing, owner, read

from umbel.broker.base import Broker, Consumer, Delivery, Kind, Liveness
from umbel.broker.tickets import Admission, Ticket

KEYS = {"one": 1, "two": 2, "three": 3}
STEPS = 250


class Walk:
    """Three owners that fetch, ask, end, leave and die, and an account of who has which place."""

    def __init__(self, broker: Broker, liveness: Liveness, seed: int) -> None:
        self.draw = Random(seed)
        self.broker, self.liveness = broker, liveness
        self.consumers: dict[str, Consumer] = {}
        self.waiting: dict[str, list[Delivery]] = {}  # fetched, not asked yet
        self.running: dict[str, list[Delivery]] = {}  # has a place
        self.sent = 0
        self.ended: set[str] = set()

    def step(self) -> None:
        name = self.draw.choice(("anna", "bert", "cleo"))
        act = self.draw.choices(
            (self.publish, self.fetch, self.ask, self.end, self.give_back, self.bury, self.leave, self.wake),
            (4, 8, 10, 8, 2, 1, 1, 1),
        )[0]
        act(name)
        held: dict[str, int] = dict.fromkeys(KEYS, 0)
        for deliveries in self.running.values():
            for delivery in deliveries:
                held[key_of(delivery)] += 1
        assert all(held[key] <= KEYS[key] for key in KEYS), held

    def enter(self, name: str) -> Consumer:
        if name not in self.consumers:
            self.consumers[name] = self.broker.consumer(owner("q"))
            self.consumers[name].register()
            self.waiting[name], self.running[name] = [], []
        return self.consumers[name]

    def lose(self, name: str) -> None:
        del self.consumers[name], self.waiting[name], self.running[name]

    def publish(self, name: str) -> None:
        key = self.draw.choice(list(KEYS))
        self.broker.publish("q", [outgoing(f"{key}-{self.sent}", priority=self.draw.randint(3, 5))])
        self.sent += 1

    def fetch(self, name: str) -> None:
        batch = self.enter(name).cycle("q", [], self.draw.randint(1, 4))
        self.waiting[name] += batch.deliveries

    def ask(self, name: str) -> None:
        consumer = self.enter(name)
        if not self.waiting[name]:
            return
        delivery = self.waiting[name].pop(0)
        key = key_of(delivery)
        admission = consumer.admit(delivery, Ticket(place=key, places=KEYS[key]))
        assert admission in (Admission.GO, Admission.PARKED)
        if admission is Admission.GO:
            self.running[name].append(delivery)

    def end(self, name: str, kind: Kind | None = None) -> None:
        consumer = self.enter(name)
        if not self.running[name]:
            return
        delivery = self.running[name].pop(self.draw.randrange(len(self.running[name])))
        kind = kind or self.draw.choice((Kind.ACK, Kind.ACK, Kind.DEAD, Kind.RETRY, Kind.REQUEUE))
        want = self.draw.randint(0, 2)
        batch = consumer.cycle("q", [end(delivery, kind, place=True, payload=delivery.payload)], want)
        assert batch.lost_tags == []
        self.waiting[name] += batch.deliveries
        if kind in (Kind.ACK, Kind.DEAD):
            task_id = read(delivery).headers["id"]
            assert task_id not in self.ended
            self.ended.add(task_id)

    def give_back(self, name: str) -> None:
        consumer = self.enter(name)
        taken, self.waiting[name] = self.waiting[name], []
        consumer.cycle("q", [end(delivery, Kind.GIVE_BACK) for delivery in taken], 0)

    def bury(self, name: str) -> None:
        self.liveness.bury(self.enter(name).owner.id)
        self.lose(name)

    def leave(self, name: str) -> None:
        self.enter(name).leave()
        self.lose(name)

    def wake(self, name: str) -> None:
        self.broker.wake_parked("q")

    def finish(self) -> None:
        """Let one owner run all that is left."""
        for name in list(self.consumers):
            self.bury(name)
        for _ in range(20 * self.sent + 20):
            if len(self.ended) == self.sent:
                return
            self.fetch("anna")
            while self.waiting["anna"]:
                self.ask("anna")
            while self.running["anna"]:
                self.end("anna", Kind.ACK)
        raise AssertionError(f"{self.sent - len(self.ended)} of {self.sent} are stuck")


def key_of(delivery: Delivery) -> str:
    return str(read(delivery).headers["id"].partition("-")[0])


@pytest.mark.parametrize("seed", range(4))
def test_no_place_is_held_twice_or_leaked(broker: Broker, liveness: Liveness, seed: int) -> None:
    walk = Walk(broker, liveness, seed)
    for _ in range(STEPS):
        walk.step()
    walk.finish()
    info = broker.info("q")
    assert (info.ready, info.parked, info.in_flight, info.delayed) == (0, 0, 0, 0)
    # All places are free again.
    for key, places in KEYS.items():
        for number in range(places + 1):
            broker.publish("q", [outgoing(f"{key}-last-{number}")])
    consumer = walk.enter("anna")
    answers: dict[str, list[str]] = {key: [] for key in KEYS}
    for delivery in consumer.cycle("q", [], 99).deliveries:
        key = key_of(delivery)
        answers[key].append(consumer.admit(delivery, Ticket(place=key, places=KEYS[key])))
    assert answers == {key: ["go"] * places + ["parked"] for key, places in KEYS.items()}
    for consumer in walk.consumers.values():
        consumer.close()
