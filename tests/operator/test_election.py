"""Who leads: in simulated time, with clocks that differ, requests that are lost, and processes that stand still."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import pytest

from umbel_operator.kube.errors import AlreadyExistsError, ConflictError, GoneError, NotLeadingError, TemporaryError
from umbel_operator.kube.lease import LeaseRecord
from umbel_operator.runtime.election import DEADLINE_SECONDS, LEASE_SECONDS, PERIOD_SECONDS, Election


class Time:
    """The true time of a simulation; it goes on when everybody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._order = count()
        self._heap: list[tuple[float, int, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._heap, (self.now + max(0.0, seconds), next(self._order), woken))
        await woken

    async def settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    async def advance(self, seconds: float, look: Callable[[], None] = lambda: None) -> None:
        """Let time pass, and look after each thing that happened."""
        end = self.now + seconds
        await self.settle()
        while self._heap and self._heap[0][0] <= end:
            self.now, _, woken = heapq.heappop(self._heap)
            if not woken.done():
                woken.set_result(None)
            await self.settle()
            look()
        self.now = end
        look()


@dataclass
class Table:
    """The Lease as the API server keeps it: a write counts only on the version that it names."""

    record: LeaseRecord | None = None
    versions: Iterator[int] = field(default_factory=lambda: count(1))

    def write(self, identity: str, known: LeaseRecord | None, duration: float) -> LeaseRecord:
        if known is None and self.record is not None:
            raise AlreadyExistsError("there is one")
        if known is not None and self.record is None:
            raise GoneError("there is none")
        if known is not None and self.record is not None and known.version != self.record.version:
            raise ConflictError("another version")
        self.record = LeaseRecord(identity, duration, 0, str(next(self.versions)))
        return self.record


class Line:
    """One candidate's way to the table: slow, and now and then broken before or after the API server has acted."""

    def __init__(self, identity: str, table: Table, time: Time, rng: random.Random, faulty: float = 0.0) -> None:
        self.identity = identity
        self._table = table
        self._time = time
        self.rng = rng
        self.faulty = faulty
        self.cut = False

    async def _pass(self) -> None:
        await self._time.sleep(self.rng.random() * (1.5 if self.faulty else 0.01))
        if self.cut or self.rng.random() < self.faulty:
            await self._time.sleep(self.rng.random() * 4)
            raise TemporaryError("no answer")

    async def read(self) -> LeaseRecord | None:
        await self._pass()
        found = self._table.record
        await self._pass()
        return found

    async def hold(self, known: LeaseRecord | None, duration: float) -> LeaseRecord:
        await self._pass()
        written = self._table.write(self.identity, known, duration)
        await self._pass()
        return written

    async def release(self, known: LeaseRecord) -> None:
        self._table.write("", known, 1.0)


class Candidate:
    """One operator, with a clock of its own; `frozen_until` is when it goes on, in true time."""

    def __init__(self, line: Line, time: Time, *, offset: float = 0.0, rate: float = 1.0) -> None:
        self.line = line
        self.frozen_until = 0.0
        self.working = False
        self.terms = 0

        async def sleep(seconds: float) -> None:
            await time.sleep(seconds / rate)
            while time.now < self.frozen_until:
                await time.sleep(self.frozen_until - time.now)

        self.election = Election(
            line, self._begin, self._end, clock=lambda: offset + rate * time.now, sleep=sleep, rng=line.rng.uniform
        )

    async def _begin(self) -> None:
        self.working = True
        self.terms += 1

    async def _end(self) -> None:
        self.working = False


def simulated(use: Callable[[Time, Table, Callable[..., Candidate]], Awaitable[None]], seed: int = 0) -> None:
    async def run() -> None:
        time, table, made = Time(), Table(), []

        def candidate(name: str, *, faulty: float = 0.0, offset: float = 0.0, rate: float = 1.0) -> Candidate:
            line = Line(name, table, time, random.Random(f"{seed}/{name}"), faulty)
            made.append(Candidate(line, time, offset=offset, rate=rate))
            made[-1].election.start()
            return made[-1]

        try:
            await use(time, table, candidate)
        finally:
            for one in made:
                if one.election._task is not None:
                    one.election._task.cancel()
                    await asyncio.gather(one.election._task, return_exceptions=True)

    asyncio.run(run())


def test_one_leads_at_once_and_the_other_waits() -> None:
    async def use(time: Time, table: Table, candidate: Callable[..., Candidate]) -> None:
        first = candidate("first")
        await time.advance(1)
        second = candidate("second")
        await time.advance(600)
        assert (first.election.leading, first.working, first.terms) == (True, True, 1)
        assert (second.election.leading, second.working, second.terms) == (False, False, 0)
        assert 0 < first.election.check() <= DEADLINE_SECONDS
        with pytest.raises(NotLeadingError):
            second.election.check()

    simulated(use)


def test_a_leader_that_is_killed_is_followed_once_its_lease_has_run_out() -> None:
    async def use(time: Time, table: Table, candidate: Callable[..., Candidate]) -> None:
        first = candidate("first")
        await time.advance(30)
        second = candidate("second")
        await time.advance(30)
        first.line.cut = True
        await time.advance(DEADLINE_SECONDS)
        assert not first.election.leading
        assert not second.election.leading
        await time.advance(LEASE_SECONDS + 2 * PERIOD_SECONDS - DEADLINE_SECONDS)
        assert second.working
        first.line.cut = False
        await time.advance(60)
        assert (first.working, second.working) == (False, True)

    simulated(use)


def test_a_leader_that_stops_hands_over_at_once() -> None:
    async def use(time: Time, table: Table, candidate: Callable[..., Candidate]) -> None:
        first = candidate("first")
        await time.advance(1)
        second = candidate("second")
        await time.advance(30)
        await first.election.stop()
        assert table.record is not None
        assert table.record.holder == ""
        assert not first.working
        await time.advance(2 * PERIOD_SECONDS)
        assert second.working

    simulated(use)


def test_a_leader_alone_goes_on_by_itself_after_an_outage() -> None:
    async def use(time: Time, table: Table, candidate: Callable[..., Candidate]) -> None:
        only = candidate("only")
        await time.advance(30)
        only.line.cut = True
        await time.advance(90)
        assert not only.working
        only.line.cut = False
        await time.advance(10)
        assert (only.working, only.terms) == (True, 2)

    simulated(use)


def test_a_leader_that_stood_still_may_not_write_when_it_wakes() -> None:
    async def use(time: Time, table: Table, candidate: Callable[..., Candidate]) -> None:
        first = candidate("first")
        await time.advance(1)
        second = candidate("second")
        await time.advance(30)
        first.frozen_until = time.now + 40
        await time.advance(39)
        # It has not run since: it neither knows that it lost, nor could it write.
        assert first.working
        assert not first.election.leading
        assert second.election.leading
        await time.advance(20)
        assert not first.working

    simulated(use)


def test_a_lease_that_is_deleted_beneath_the_leader_stays_with_it() -> None:
    async def use(time: Time, table: Table, candidate: Callable[..., Candidate]) -> None:
        first = candidate("first")
        await time.advance(1)
        second = candidate("second")
        await time.advance(30)
        table.record = None
        await time.advance(60)
        assert (first.working, first.terms, second.terms) == (True, 1, 0)

    simulated(use)


def test_a_lease_that_somebody_edits_stays_with_the_leader_and_one_that_is_reassigned_does_not() -> None:
    async def use(time: Time, table: Table, candidate: Callable[..., Candidate]) -> None:
        first = candidate("first")
        await time.advance(30)
        assert table.record is not None
        table.record = replace(table.record, version="edited")
        await time.advance(30)
        assert (first.working, first.terms) == (True, 1)
        table.record = replace(table.record, version="stolen", holder="somebody")
        await time.advance(2 * PERIOD_SECONDS)
        assert not first.working
        await time.advance(LEASE_SECONDS + 2 * PERIOD_SECONDS)
        assert (first.working, first.terms) == (True, 2)

    simulated(use)


def test_a_fault_at_the_beginning_of_a_term_gives_the_lead_back() -> None:
    async def use(time: Time, table: Table, candidate: Callable[..., Candidate]) -> None:
        first = candidate("first")
        first.election._begin = broken  # type: ignore[method-assign]
        await time.advance(1)
        assert not first.election.leading

    async def broken() -> None:
        raise RuntimeError("a fault")

    simulated(use)


@pytest.mark.parametrize("seed", range(6))
def test_two_never_lead_whatever_the_clocks_say_and_the_network_loses(seed: int) -> None:
    """Given candidates with wrong clocks, lost requests and answers, and processes that stand still for up to a minute,
    when twenty minutes pass, then at no moment may two write, and most of the time one does."""
    rng = random.Random(seed)

    async def use(time: Time, table: Table, candidate: Callable[..., Candidate]) -> None:
        everybody = [
            candidate(f"{n}", faulty=0.12, offset=rng.uniform(-1e6, 1e6), rate=rng.uniform(0.9, 1.1)) for n in range(3)
        ]
        led, before = 0.0, time.now

        def look() -> None:
            nonlocal led, before
            leaders = [one for one in everybody if one.election.leading]
            assert len(leaders) <= 1
            led += (time.now - before) * len(leaders)
            before = time.now

        for _ in range(40):
            await time.advance(30, look)
            if rng.random() < 0.2:
                rng.choice(everybody).frozen_until = time.now + rng.uniform(1, 60)
            if rng.random() < 0.05:
                table.record = None
        assert led > 400

    simulated(use, seed)
