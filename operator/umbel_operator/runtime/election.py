"""Let one of several operators work, by a Lease; the one that cannot renew it stops before another may begin.

Time is only ever measured on one machine: a candidate counts from the moment at which it saw the Lease change, never
from what another clock wrote into it. A leader counts from before it sent the renewal, a candidate from after it saw
it, and the leader gives up five seconds earlier: so two never lead at once, whatever their clocks say, as long as
neither runs half as fast again as the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from umbel_operator.kube.errors import ApiError, ConflictError, GoneError, NotLeadingError
from umbel_operator.kube.lease import LeaseRecord

logger = logging.getLogger(__name__)

#: Seconds without a change after which a candidate takes the Lease.
LEASE_SECONDS = 15.0
#: Seconds without a renewal after which the leader stops to write.
DEADLINE_SECONDS = 10.0
#: Seconds between two renewals, and between two looks of a candidate; looks vary by this share.
PERIOD_SECONDS, JITTER = 2.0, 0.2
#: Seconds that giving the Lease back may take.
RELEASE_SECONDS = 2.0


class Lock(Protocol):
    """What an election needs of a Lease."""

    identity: str

    async def read(self) -> LeaseRecord | None:
        """Read the Lease, or None where there is none."""

    async def hold(self, known: LeaseRecord | None, duration: float) -> LeaseRecord:
        """Write the Lease as held by us, if it is still as known."""

    async def release(self, known: LeaseRecord) -> None:
        """Give the Lease back."""


def clock_that_never_stops() -> float:
    """Tell seconds that go on while the machine is suspended, which the usual monotonic clock does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Election:
    """Hold the Lease or wait for it.

    begin, end: called when this operator has become the leader, and when it is not any more; both are awaited.
    clock: seconds that never go back.
    """

    def __init__(
        self,
        lock: Lock,
        begin: Callable[[], Awaitable[None]],
        end: Callable[[], Awaitable[None]],
        *,
        clock: Callable[[], float] = clock_that_never_stops,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._lock = lock
        self._begin = begin
        self._end = end
        self._clock = clock
        self._sleep = sleep
        self._rng = rng
        self._until = float("-inf")
        self._known: LeaseRecord | None = None
        self._changed_at = float("-inf")
        self._said = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def leading(self) -> bool:
        """Tell whether this operator may write right now."""
        return self._clock() < self._until

    def check(self) -> float:
        """Tell for how many seconds this operator may write; raise NotLeadingError where it may not; asked before each write."""
        left = self._until - self._clock()
        if left <= 0:
            raise NotLeadingError("not sent: another operator may be the leader now")
        return left

    def start(self) -> None:
        """Become a candidate."""
        self._task = asyncio.create_task(self._run(), name="election")

    async def stop(self) -> None:
        """Give the Lease back if it is held, and end; everything that writes has ended before."""
        if self._task is None:
            return
        held = self.leading
        self._until = float("-inf")
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        if held and self._known is not None and self._known.holder == self._lock.identity:
            # Where that fails, the others wait until it has run out.
            with contextlib.suppress(ApiError, TimeoutError):
                async with asyncio.timeout(RELEASE_SECONDS):
                    await self._lock.release(self._known)

    async def _run(self) -> None:
        while True:
            try:
                if await self._try():
                    await self._lead()
            except Exception:
                # A fault of ours must not leave the cluster without an operator for good.
                logger.exception("election_crashed")
            await self._sleep(PERIOD_SECONDS * self._rng(1 - JITTER, 1 + JITTER))

    async def _lead(self) -> None:
        logger.info("leading", extra={"identity": self._lock.identity})
        why = "a fault"
        try:
            await self._begin()
            why = await self._keep()
        finally:
            # Closed before anything is awaited: from here on no write is sent.
            self._until = float("-inf")
            logger.warning("not_leading", extra={"why": why})
            await self._end()

    async def _keep(self) -> str:
        """Renew the Lease for as long as that is possible; return why it is not any more."""
        while True:
            await self._sleep(min(PERIOD_SECONDS, max(0.0, self._until - self._clock())))
            left = self._until - self._clock()
            if left <= 0:
                return f"the Lease could not be renewed for {DEADLINE_SECONDS:.0f} s"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._try()
            if self._known is not None and self._known.holder != self._lock.identity:
                return f"the Lease is held by {self._known.holder or 'nobody'}"

    async def _try(self) -> bool:
        """Take or renew the Lease once, if that may be done now; tell whether it was."""
        began = self._clock()
        try:
            if not self._is_mine():
                self._note(await self._lock.read())
                if not self._is_mine() and not self._is_free():
                    self._say(f"the Lease is held by {self._known.holder}" if self._known else "the Lease has gone")
                    return False
            record = await self._lock.hold(self._known, LEASE_SECONDS)
        except (ConflictError, GoneError):
            # Somebody wrote it, took it or deleted it: what is there now decides.
            with contextlib.suppress(ApiError):
                self._note(await self._lock.read())
            return False
        except ApiError as error:
            self._say(error.message)
            return False
        self._note(record)
        # Counted from before the request: nobody can have seen this renewal earlier.
        self._until = began + DEADLINE_SECONDS
        self._said = ""
        return True

    def _is_mine(self) -> bool:
        return self._known is not None and self._known.holder == self._lock.identity

    def _is_free(self) -> bool:
        """Tell whether nobody can believe to hold the Lease any more."""
        if self._known is None:
            # One that was there and has gone was deleted beneath a leader that may still work.
            return self.leading or self._clock() - self._changed_at > LEASE_SECONDS
        return not self._known.holder or self._clock() - self._changed_at > (self._known.duration or LEASE_SECONDS)

    def _note(self, record: LeaseRecord | None) -> None:
        if (record.version if record else None) != (self._known.version if self._known else None):
            self._changed_at = self._clock()
        self._known = record

    def _say(self, why: str) -> None:
        """Log why this operator does not lead, once for each reason."""
        if why != self._said:
            logger.info("waiting_for_the_lease", extra={"why": why})
            self._said = why
