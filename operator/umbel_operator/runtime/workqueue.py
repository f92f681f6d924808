"""The queue of keys to reconcile, by the rules of client-go's workqueue.

A key is in work at most once; what is added meanwhile is worked on again afterwards. Failures come back after an
exponential wait, and all of them together through a bucket, so that a cold start with thousands of keys is not
slowed down while a storm of errors is.
"""

import asyncio
import contextlib
import heapq
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

#: Seconds before the first and between the last attempts.
FIRST_WAIT, LAST_WAIT = 1.0, 60.0
#: Each wait is stretched or shrunk by up to this share.
JITTER = 0.25
#: Re-queues after errors: so many a second, and so many at once.
RETRIES_PER_SECOND, RETRY_BURST = 20.0, 40.0
#: One of so many picks goes to a background key, however many others wait.
BACKGROUND_SHARE = 8


class WorkQueue(Generic[K]):
    """Hold keys that are ready, due later, or in work.

    clock: monotonic seconds. rng: numbers in [0, 1).
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, rng: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._rng = rng
        self._ready: OrderedDict[K, float] = OrderedDict()
        self._background: OrderedDict[K, float] = OrderedDict()
        self._in_work: set[K] = set()
        self._dirty: set[K] = set()
        self._due: dict[K, float] = {}
        self._quiet: dict[K, tuple[float, float]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = 0
        self._failures: dict[K, int] = {}
        #: Until when the API server does not want to hear of a key, whoever else adds it meanwhile.
        self._not_before: dict[K, float] = {}
        self._tokens, self._tokens_at = RETRY_BURST, clock()
        self._picks = 0
        self._wake = asyncio.Event()
        #: Re-queues after an error, since the start.
        self.retries = 0

    def add(self, key: K, *, background: bool = False) -> None:
        """Make a key ready, or have it worked on once more if it is in work.

        background: it may wait behind all others (a refresh of numbers, no change by a user).
        """
        if key in self._in_work:
            self._dirty.add(key)
            return
        rest = self._not_before.get(key, 0.0) - self._clock()
        if rest > 0:
            self.add_after(key, rest)
            return
        if background and key not in self._ready:
            self._background.setdefault(key, self._clock())
        elif key not in self._ready:
            self._ready[key] = self._background.pop(key, self._clock())
        self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Make a key ready after so many seconds; of several such wishes the earliest holds."""
        due = self._clock() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._push(due, key)

    def add_debounced(self, key: K, *, quiet: float, limit: float) -> None:
        """Make a key ready once nobody has asked for `quiet` seconds, at the latest `limit` seconds after the first."""
        now = self._clock()
        first = self._quiet.get(key, (now, 0.0))[0]
        due = min(now + quiet, first + limit)
        self._quiet[key] = (first, due)
        self._push(due, key)

    def retry(self, key: K, at_least: float | None = None) -> float:
        """Make a key that failed ready again, later each time.

        at_least: seconds that the API server asked to wait.
        Returns the seconds until then.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        wait = min(LAST_WAIT, FIRST_WAIT * 2.0 ** min(failures, 16))
        wait *= 1 + JITTER * (2 * self._rng() - 1)
        wait = max(min(LAST_WAIT, max(FIRST_WAIT, wait)), at_least or 0.0, self._take_token())
        if at_least:
            self._not_before[key] = self._clock() + at_least
        self.retries += 1
        self.add_after(key, wait)
        return wait

    def forget(self, key: K) -> None:
        """Start the waits of a key anew: it succeeded."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)

    def clear(self) -> None:
        """Forget all keys that are not in work."""
        for lane in (self._ready, self._background, self._due, self._quiet, self._failures, self._not_before):
            lane.clear()
        self._heap.clear()
        self._dirty.clear()

    def failing(self) -> list[K]:
        """List the keys whose last attempt failed."""
        return list(self._failures)

    def pop(self) -> K | None:
        """Take the next ready key into work, or None."""
        self._promote()
        self._picks += 1
        lanes = (self._ready, self._background)
        for lane in lanes if self._picks % BACKGROUND_SHARE else reversed(lanes):
            if lane:
                key, _ = lane.popitem(last=False)
                self._in_work.add(key)
                self._due.pop(key, None)
                self._quiet.pop(key, None)
                return key
        return None

    def done(self, key: K) -> None:
        """Put a key out of work; it is ready at once if somebody added it meanwhile."""
        self._in_work.discard(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    async def get(self) -> K:
        """Wait for the next key and take it into work."""
        while (key := self.pop()) is None:
            self._wake.clear()
            due = self.next_due()
            wait = None if due is None else max(0.0, due - self._clock())
            # Not wait_for: Python 3.11's forgets a cancellation that comes in the moment in which it is woken.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
        return key

    def next_due(self) -> float | None:
        """Tell when the next delayed key gets ready, by the clock, or None."""
        while self._heap and not self._is_current(self._heap[0][0], self._heap[0][2]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def waiting(self) -> Iterator[K]:
        """Go through the keys that are ready and not in work."""
        yield from self._ready
        yield from self._background

    def oldest(self) -> float:
        """Tell for how many seconds the longest waiting ready key has waited; 0 where none waits."""
        since = [next(iter(lane.values())) for lane in (self._ready, self._background) if lane]
        return self._clock() - min(since) if since else 0.0

    def __len__(self) -> int:
        return len(self._ready) + len(self._background)

    def _push(self, due: float, key: K) -> None:
        self._order += 1
        heapq.heappush(self._heap, (due, self._order, key))
        self._wake.set()

    def _is_current(self, due: float, key: K) -> bool:
        return self._due.get(key) == due or self._quiet.get(key, (0.0, -1.0))[1] == due

    def _promote(self) -> None:
        now = self._clock()
        while (due := self.next_due()) is not None and due <= now:
            _, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
            if self._quiet.get(key, (0.0, -1.0))[1] == due:
                del self._quiet[key]
            self.add(key)

    def _take_token(self) -> float:
        now = self._clock()
        self._tokens = min(RETRY_BURST, self._tokens + (now - self._tokens_at) * RETRIES_PER_SECOND)
        self._tokens_at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / RETRIES_PER_SECOND)
