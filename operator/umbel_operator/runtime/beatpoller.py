"""Ask each Broker's beat how things stand, every 10 to 15 seconds, and say what changed."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from umbel_operator.kube.errors import Json
from umbel_operator.plan.sample import STALE_AFTER_FAILED_POLLS, Sample, read_sample
from umbel_operator.runtime.beatclient import BeatRoute, BeatUnreachableError
from umbel_operator.runtime.metrics import Metrics

logger = logging.getLogger(__name__)

#: Seconds between two polls of a beat, drawn anew each time.
PERIOD = (10.0, 15.0)
#: Seconds between two polls while a change is awaited: a first answer, or the loading of a new configuration.
EAGER_PERIOD = (1.0, 2.0)
#: Polls of an awaited change before the ordinary period is used again.
EAGER_POLLS = 90
#: (namespace, broker)
BrokerName = tuple[str, str]


@dataclass(slots=True)
class Polled:
    """What the polls of one beat have come to."""

    #: The body of the last answer to `GET /v1/status`, and the same as a planner reads it.
    status: Json | None = None
    sample: Sample | None = None
    etag: str | None = None
    #: Polls in a row without an answer, and why the last one failed.
    misses: int = 0
    error: str | None = None
    #: Unix time of the last answer or the last miss.
    counted_at: float = float("-inf")

    @property
    def stale(self) -> bool:
        """Tell whether beat has been silent for too long to trust its last answer."""
        return self.misses >= STALE_AFTER_FAILED_POLLS


@dataclass(frozen=True, slots=True)
class Difference:
    """Which parts of a beat's status changed between two polls."""

    #: Leader, revision, load errors, Redis, staleness.
    broker: bool = False
    #: The configuration that beat runs by.
    revision: bool = False
    schedules: frozenset[str] = frozenset()
    #: Those of the schedules with more than a new number: they stopped, missed runs, or handled a trigger.
    turned: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    pools: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.broker or self.schedules or self.queues or self.pools)


@dataclass(slots=True)
class _Poll:
    polled: Polled = field(default_factory=Polled)
    eager: int = EAGER_POLLS
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class BeatPoller:
    """Run one poll loop for each Broker.

    report: called with (namespace, broker) and what changed. closely: whether a Broker's beat is to be asked every second or two
    all the time. clock: Unix time in seconds.
    """

    def __init__(
        self,
        route: BeatRoute,
        report: Callable[[BrokerName, Difference], None],
        metrics: Metrics,
        *,
        closely: Callable[[BrokerName], bool] = lambda name: False,
        clock: Callable[[], float] = time.time,
        rng: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._route = route
        self._report = report
        self._metrics = metrics
        self._closely = closely
        self._clock = clock
        self._rng = rng
        self._polls: dict[BrokerName, _Poll] = {}
        metrics.watch_beats(self.stale)

    def sample(self, broker: BrokerName) -> Sample | None:
        """Hand out what a Broker's beat last said; None where it never answered."""
        poll = self._polls.get(broker)
        if poll is None or poll.polled.sample is None:
            return None
        return replace(poll.polled.sample, failed_polls=poll.polled.misses, poll_error=poll.polled.error)

    def stale(self) -> list[tuple[BrokerName, bool]]:
        """Tell of each Broker that is polled whether its beat is silent, or has not answered yet."""
        return [(name, poll.polled.stale or poll.polled.sample is None) for name, poll in self._polls.items()]

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
            try:
                difference = await self.poll_once(name, poll.polled)
                if difference:
                    self._report(name, difference)
                if difference.revision:
                    poll.eager = 0
            except Exception:
                # An answer that we cannot make sense of must not end the polls of this beat for good.
                logger.exception("poll_crashed", extra={"broker": "/".join(name)})
            poll.eager = max(0, poll.eager - 1)
            wait = self._rng(*(EAGER_PERIOD if poll.eager or self._closely(name) else PERIOD))
            try:
                async with asyncio.timeout(wait):
                    await poll.wake.wait()
            except TimeoutError:
                continue

    async def poll_once(self, name: BrokerName, polled: Polled) -> Difference:
        """Ask one beat once, note the answer, and tell what changed."""
        was_stale = polled.stale
        try:
            reply = await self._route.call(*name, "GET", "/v1/status", etag=polled.etag)
            if reply.status not in (200, 304):
                raise BeatUnreachableError(f"beat answered HTTP {reply.status}: {str(reply.body)[:200]}")
        except BeatUnreachableError as error:
            polled.error = str(error)
            # Eager polls come quicker: a beat that restarts must not count as silent after two seconds.
            if self._clock() - polled.counted_at >= PERIOD[0] - EAGER_PERIOD[0]:
                polled.misses += 1
                polled.counted_at = self._clock()
            self._metrics.beat_polls.labels("failed").inc()
            if polled.stale and not was_stale:
                logger.warning("beat_silent", extra={"broker": "/".join(name), "error": polled.error})
            return Difference(broker=polled.stale != was_stale)
        self._metrics.beat_polls.labels("unchanged" if reply.status == 304 else "changed").inc()
        before, now = polled.status, datetime.fromtimestamp(self._clock(), UTC)
        polled.misses, polled.error, polled.counted_at = 0, None, self._clock()
        if reply.status == 304 and polled.sample is not None:
            polled.sample = replace(polled.sample, taken_at=now)
            return Difference(broker=was_stale)
        polled.status, polled.etag, polled.sample = reply.body, reply.etag, read_sample(reply.body, now)
        return compare(before, reply.body, recovered=was_stale)


def compare(before: Json | None, after: Json, *, recovered: bool = False) -> Difference:
    """Tell which parts of beat's status differ.

    recovered: beat had been silent, so that its Broker's conditions change in any case.
    """
    old = before or {}
    head = ("leader", "loadedRevision", "loadErrors", "redis")
    schedules = _changed(old.get("schedules"), after.get("schedules"))
    return Difference(
        broker=recovered or before is None or any(old.get(part) != after.get(part) for part in head),
        revision=any(old.get(part) != after.get(part) for part in ("loadedRevision", "loadErrors")),
        schedules=schedules,
        turned=frozenset(uid for uid in schedules if _turned(old, after, uid)),
        queues=_changed(old.get("queues"), after.get("queues")),
        pools=_changed(old.get("pools"), after.get("pools")),
    )


def _turned(old: Json, new: Json, uid: str) -> bool:
    was, now = ((body.get("schedules") or {}).get(uid) or {} for body in (old, new))
    return not was or any(was.get(key) != now.get(key) for key in ("stopped", "missedRuns", "lastHandledTrigger"))


def _changed(old: Json | None, new: Json | None) -> frozenset[str]:
    before, after = old or {}, new or {}
    return frozenset(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
