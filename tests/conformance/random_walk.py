"""A random walk over what a broker can do, with a simple account of what has to be where.

What a step does depends on what the broker gave before, and that on time: so a step draws its choices from a seed, and not
from hypothesis, which replays only what does not depend on such things.

The account knows for each message only whether it waits, is owned (by whom) or has ended; that is enough to see a loss, a
message that is owned twice, and a wrong count. With two sides, both do the same and have to give the same answers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.conformance.adapters import Adapter
from tests.conformance.making import end, ids, outgoing, owner, read, take
from tests.conformance.waiting import until

from umbel.broker.base import Charge, Consumer, Delivery, Kind, Outcome, OwnerLost

QUEUES = ("p", "q")
OWNERS = ("anna", "bert", "cleo")
#: How a delivery may end.
KINDS = list(Kind)
#: Distance between an owner's real tags and those it never had.
STRANGE = 10**9
SEEDS = st.integers(0, 2**32)


class Side:
    """One broker of the walk, with the consumers and what they were given."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.broker = adapter.broker()
        self.liveness = self.broker.liveness()
        self.consumers: dict[str, Consumer] = {}
        self.given: dict[str, dict[str, Delivery]] = {name: {} for name in OWNERS}

    def enter(self, name: str) -> Consumer:
        """Return the consumer of this name; a new owner if there is none."""
        if name not in self.consumers:
            self.consumers[name] = self.broker.consumer(owner(*QUEUES))
            self.consumers[name].register()
        return self.consumers[name]

    def lose(self, name: str) -> Consumer | None:
        """Forget a consumer that leaves or is buried; return it."""
        self.given[name] = {}
        return self.consumers.pop(name, None)

    def cycle(self, name: str, queue: str, outcomes: Sequence[Outcome], want: int) -> tuple[Any, ...]:
        """Return what can be compared of a cycle's answer."""
        known = {delivery.tag: task for task, delivery in self.given[name].items()}
        batch = self.enter(name).cycle(queue, outcomes, want)
        self.given[name].update(zip(ids(batch.deliveries), batch.deliveries, strict=True))
        lost = [known.get(tag, "stranger") for tag in batch.lost_tags]
        return [_facts(delivery) for delivery in batch.deliveries], lost, batch.more, batch.max_deliveries

    def held(self, name: str) -> set[str]:
        """Return the ids of what an owner holds, as the broker tells it."""
        consumer = self.consumers.get(name)
        if consumer is None:
            return set()
        held = self.liveness.held(consumer.owner.id)
        return {read(Delivery(queue, tag, raw)).headers["id"] for queue in held for tag, raw in held[queue].items()}

    def close(self) -> None:
        """End all, and let the adapter look for what was left."""
        for consumer in self.consumers.values():
            consumer.close()
        self.liveness.close()
        self.adapter.close()


def _facts(delivery: Delivery) -> tuple[Any, ...]:
    message = read(delivery)
    counts = (message.attempt, message.lost, message.suspect, message.requeues)
    return delivery.queue, message.headers["id"], message.priority, counts


class RandomWalk(RuleBasedStateMachine):
    """The walk.

    Args:
        make_adapters: makes one or two adapters with empty stores.
        delays: seconds that delayed messages wait.
        groups: that some of the messages have. Those that begin at the same time are served in any order, so that two sides
            differ.
    """

    def __init__(
        self, make_adapters: Callable[[], list[Adapter]], delays: tuple[float, ...], groups: tuple[str, ...] = ()
    ) -> None:
        super().__init__()
        self.groups = groups
        self.sides = [Side(adapter) for adapter in make_adapters()]
        self.delays = delays
        self.numbers = itertools.count()
        self.waiting: dict[str, str] = {}  # id -> queue
        self.owned: dict[str, tuple[str, str]] = {}  # id -> queue, owner
        self.ended: set[str] = set()
        self.dead = dict.fromkeys(QUEUES, 0)
        self.limits: dict[str, int | None] = dict.fromkeys(QUEUES)
        self.serial = 0

    def all_sides(self, act: Callable[[Side], Any]) -> Any:
        """Do the same on each side; return the answer, which has to be the same."""
        answers = [act(side) for side in self.sides]
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    @rule(seed=SEEDS, queue=st.sampled_from(QUEUES), count=st.integers(1, 6))
    def publish(self, seed: int, queue: str, count: int) -> None:
        draw = Random(seed)
        messages = []
        for _ in range(count):
            task_id = str(next(self.numbers))
            delay = draw.choice((0.0, 0.0, *self.delays))
            suspect = draw.choice((0, 0, 0, 1))
            group = draw.choice((None, *self.groups))
            messages.append(outgoing(task_id, delay=delay, priority=draw.randint(3, 6), group=group, suspect=suspect))
            self.waiting[task_id] = queue
        self.all_sides(lambda side: side.broker.publish(queue, messages))

    @rule(seed=SEEDS, name=st.sampled_from(OWNERS), queue=st.sampled_from(QUEUES), want=st.integers(0, 5))
    def cycle(self, seed: int, name: str, queue: str, want: int) -> None:
        draw = Random(seed)
        mine = sorted(task for task, place in self.owned.items() if place == (queue, name))
        given = self.sides[0].given[name]
        stale = sorted(task for task in given if task not in mine and given[task].queue == queue)
        chosen = draw.sample(mine, draw.randint(0, len(mine))) + draw.sample(stale, draw.randint(0, min(2, len(stale))))
        plans = [(task, draw.choice(KINDS), draw.choice((0.0, *self.delays))) for task in chosen]

        def act(side: Side) -> Any:
            outcomes = [_outcome(side.given[name][task], kind, delay) for task, kind, delay in plans]
            return side.cycle(name, queue, [*outcomes, Outcome(STRANGE, Kind.ACK)], want)

        fetched, lost, _, _ = self.all_sides(act)
        assert set(lost) == {task for task in chosen if task not in mine} | {"stranger"}
        for task, kind, _ in plans:
            if task in mine:
                self._take_in(task, queue, kind)
        for _, task, _, counts in fetched:
            assert self.waiting.pop(task) == queue, "fetched what was not waiting here"
            assert counts[2] == 0 or len(fetched) == 1, "a suspect came with others"
            self.owned[task] = (queue, name)
        assert len(fetched) <= want
        limit = self.limits[queue]
        running = sum(place[0] == queue for place in self.owned.values())
        assert limit is None or not fetched or running <= limit

    def _take_in(self, task: str, queue: str, kind: Kind) -> None:
        del self.owned[task]
        if kind in (Kind.ACK, Kind.DEAD):
            self.ended.add(task)
            self.dead[queue] += kind is Kind.DEAD
        else:
            self.waiting[task] = queue

    @rule(seed=SEEDS, name=st.sampled_from(OWNERS), charge=st.sampled_from(Charge), begun=st.booleans())
    def bury(self, seed: int, name: str, charge: Charge, begun: bool) -> None:
        mine = sorted(task for task, place in self.owned.items() if place[1] == name)
        guilty = Random(seed).choice(mine) if mine else None

        def act(side: Side) -> int:
            tag = None if guilty is None else side.given[name][guilty].tag
            consumer = side.lose(name)
            if consumer is None:
                return 0
            if begun:
                side.adapter.begin_burial(consumer.owner.id)
            moved = side.liveness.bury(consumer.owner.id, charge=charge, guilty=tag)
            try:
                consumer.cycle(QUEUES[0], [], 5)
            except OwnerLost:
                consumer.close()
                return moved or 0
            raise AssertionError("a buried owner went on")

        assert self.all_sides(act) == len(mine)
        self._all_wait_again(mine)

    @rule(name=st.sampled_from(OWNERS))
    def leave(self, name: str) -> None:
        mine = [task for task, place in self.owned.items() if place[1] == name]

        def act(side: Side) -> None:
            consumer = side.lose(name)
            if consumer is not None:
                consumer.leave()
                consumer.close()

        self.all_sides(act)
        self._all_wait_again(mine)

    def _all_wait_again(self, tasks: list[str]) -> None:
        for task in tasks:
            self.waiting[task] = self.owned.pop(task)[0]

    @rule(seed=SEEDS, kind=st.sampled_from(KINDS))
    def settle(self, seed: int, kind: Kind) -> None:
        if not self.owned:
            return
        task = Random(seed).choice(sorted(self.owned))
        queue, name = self.owned[task]

        def act(side: Side) -> bool:
            outcome = _outcome(side.given[name][task], kind, 0.0)
            return side.liveness.settle(side.consumers[name].owner.id, queue, outcome)

        assert self.all_sides(act)
        self._take_in(task, queue, kind)

    @rule(queue=st.sampled_from(QUEUES), limit=st.sampled_from((None, 1, 3)), held=st.booleans())
    def configure(self, queue: str, limit: int | None, held: bool) -> None:
        self.serial += 1
        settings = {"max_concurrency": limit, "dispatch": "Held" if held else "Enabled"}
        self.all_sides(lambda side: side.broker.configure(queue, settings, self.serial))
        self.limits[queue] = limit

    @rule(queue=st.sampled_from(QUEUES))
    def promote(self, queue: str) -> None:
        for side in self.sides:
            side.broker.promote(queue)

    @invariant()
    def nothing_is_lost_and_nothing_counted_wrong(self) -> None:
        for queue in QUEUES:
            waiting = sum(place == queue for place in self.waiting.values())
            owned = sum(place[0] == queue for place in self.owned.values())
            for side in self.sides:
                info = side.broker.info(queue)
                assert info.ready + info.delayed == waiting
                assert info.in_flight == owned
                assert info.dead == self.dead[queue]

    @invariant()
    def each_owner_holds_its_own(self) -> None:
        for side in self.sides:
            for name in OWNERS:
                assert side.held(name) == {task for task, place in self.owned.items() if place[1] == name}

    def teardown(self) -> None:
        try:
            for side in self.sides:
                self._drain(side)
        finally:
            for side in self.sides:
                side.close()

    def _drain(self, side: Side) -> None:
        """Fetch all that is left: each message comes once, and none is missing."""
        rest = list({*self.waiting, *self.owned})
        for consumer in side.consumers.values():
            side.liveness.bury(consumer.owner.id)
        got: list[str] = []
        last = side.broker.consumer(owner(*QUEUES))
        last.register()

        def fetch() -> bool:
            for queue in QUEUES:
                got.extend(ids(take(last, queue)))
            return len(got) >= len(rest) - sum(side.broker.info(queue).delayed for queue in QUEUES)

        for queue in QUEUES:
            side.broker.configure(queue, {"max_concurrency": None, "dispatch": "Enabled"}, self.serial + 1)
        until(fetch)
        if max(self.delays) < 1.0:
            until(lambda: fetch() and len(got) >= len(rest))
            assert sorted(got) == sorted(rest)
        assert len(set(got)) == len(got)
        assert set(got) <= set(rest)
        last.close()


def _outcome(delivery: Delivery, kind: Kind, delay: float) -> Outcome:
    message = read(delivery)
    message.attempt += 1
    return end(delivery, kind, payload=message.encode(), delay=delay, reason={"kind": kind.value})
