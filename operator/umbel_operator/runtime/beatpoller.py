"""Ask each Broker's beat how things stand, every 10 to 15 seconds, and say what changed."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from umbel_operator.kube.errors import Json
from umbel_operator.runtime.beatclient import BeatRoute, BeatUnreachableError
from umbel_operator.runtime.metrics import Metrics

logger = logging.getLogger(__name__)

#: Seconds between two polls of a beat, drawn anew each time.
PERIOD = (10.0, 15.0)
#: Seconds between two polls while a change is awaited: a first answer, or the loading of a new configuration.
EAGER_PERIOD = (1.0, 2.0)
#: Polls of an awaited change before the ordinary period is used again.
EAGER_POLLS = 90
#: Polls without an answer after which what was sampled is stale.
STALE_AFTER = 3

#: (namespace, broker)
BrokerName = tuple[str, str]


@dataclass(slots=True)
class Sample:
    """What one beat last said, and how long ago."""

    #: The body of `GET /v1/status`, or None where beat never answered.
    status: Json | None = None
    #: Unix time of the last answer.
    at: float | None = None
    #: Polls in a row without an answer.
    misses: int = 0
    #: Why the last poll failed.
    error: str | None = None
    etag: str | None = None

    @property
    def stale(self) -> bool:
        """Tell whether beat has been silent for too long to trust its last answer."""
        return self.misses >= STALE_AFTER


@dataclass(frozen=True, slots=True)
class Difference:
    """Which parts of a beat's status changed between two polls."""

    #: Leader, revision, load errors, Redis, staleness.
    broker: bool = False
    #: The configuration that beat runs by.
    revision: bool = False
    schedules: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    pools: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.broker or self.schedules or self.queues or self.pools)


@dataclass(slots=True)
class _Poll:
    sample: Sample = field(default_factory=Sample)
    eager: int = EAGER_POLLS
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class BeatPoller:
    """Run one poll loop for each Broker.

    report: called with (namespace, broker) and what changed. clock: Unix time in seconds.
    """

    def __init__(
        self,
        route: BeatRoute,
        report: Callable[[BrokerName, Difference], None],
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
        rng: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._route = route
        self._report = report
        self._metrics = metrics
        self._clock = clock
        self._rng = rng
        self._polls: dict[BrokerName, _Poll] = {}

    def sample(self, broker: BrokerName) -> Sample:
        """Hand out the last sample of a Broker's beat; an empty one where it was never polled."""
        poll = self._polls.get(broker)
        return poll.sample if poll else Sample()

    def follow(self, brokers: Iterable[BrokerName]) -> None:
        """Poll exactly these Brokers from now on."""
        wanted = set(brokers)
        for gone in self._polls.keys() - wanted:
            poll = self._polls.pop(gone)
            if poll.task is not None:
                poll.task.cancel()
        for name in sorted(wanted - self._polls.keys()):
            poll = self._polls[name] = _Poll()
            poll.task = asyncio.create_task(self._run(name, poll), name=f"beat {'/'.join(name)}")

    def expect(self, broker: BrokerName) -> None:
        """Poll a Broker's beat at once and more often for a while: something is about to change there."""
        poll = self._polls.get(broker)
        if poll is not None:
            poll.eager = EAGER_POLLS
            poll.wake.set()

    async def stop(self) -> None:
        """End all loops."""
        tasks = [poll.task for poll in self._polls.values() if poll.task is not None]
        self._polls.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, name: BrokerName, poll: _Poll) -> None:
        while True:
            poll.wake.clear()
            difference = await self.poll_once(name, poll.sample)
            if difference:
                self._report(name, difference)
            if difference.revision:
                poll.eager = 0
            poll.eager = max(0, poll.eager - 1)
            wait = self._rng(*(EAGER_PERIOD if poll.eager else PERIOD))
            try:
                await asyncio.wait_for(poll.wake.wait(), wait)
            except TimeoutError:
                continue

    async def poll_once(self, name: BrokerName, sample: Sample) -> Difference:
        """Ask one beat once, note the answer in its sample, and tell what changed."""
        was_stale = sample.stale
        try:
            reply = await self._route.call(*name, "GET", "/v1/status", etag=sample.etag)
            if reply.status not in (200, 304):
                raise BeatUnreachableError(f"beat answered HTTP {reply.status}: {str(reply.body)[:200]}")
        except BeatUnreachableError as error:
            sample.misses += 1
            sample.error = str(error)
            self._metrics.beat_polls.labels("failed").inc()
            if sample.stale and not was_stale:
                logger.warning("beat_silent", extra={"broker": "/".join(name), "error": sample.error})
            return Difference(broker=sample.stale != was_stale)
        self._metrics.beat_polls.labels("unchanged" if reply.status == 304 else "changed").inc()
        before = sample.status
        sample.at, sample.misses, sample.error = self._clock(), 0, None
        if reply.status == 304:
            return Difference(broker=was_stale)
        sample.status, sample.etag = reply.body, reply.etag
        return compare(before, reply.body, recovered=was_stale)


def compare(before: Json | None, after: Json, *, recovered: bool = False) -> Difference:
    """Tell which parts of beat's status differ.

    recovered: beat had been silent, so that its Broker's conditions change in any case.
    """
    old = before or {}
    head = ("leader", "loadedRevision", "loadErrors", "redis")
    return Difference(
        broker=recovered or before is None or any(old.get(part) != after.get(part) for part in head),
        revision=any(old.get(part) != after.get(part) for part in ("loadedRevision", "loadErrors")),
        schedules=_changed(old.get("schedules"), after.get("schedules")),
        queues=_changed(old.get("queues"), after.get("queues")),
        pools=_changed(old.get("pools"), after.get("pools")),
    )


def _changed(old: Json | None, new: Json | None) -> frozenset[str]:
    before, after = old or {}, new or {}
    return frozenset(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
