"""The workers that take keys from the queue and reconcile them."""

import asyncio
import logging
import time

from umbel_operator.kube.errors import ApiError
from umbel_operator.runtime.beatpoller import BeatPoller
from umbel_operator.runtime.keys import Key
from umbel_operator.runtime.metrics import Metrics
from umbel_operator.runtime.probes import Health
from umbel_operator.runtime.reconciler import Reconciler
from umbel_operator.runtime.statuswriter import Pace
from umbel_operator.runtime.workqueue import WorkQueue

logger = logging.getLogger(__name__)

#: Keys that are worked on at a time.
WORKERS = 8


class Workers:
    """Work on several keys at once, and decide when each comes back."""

    def __init__(
        self,
        queue: WorkQueue[Key],
        reconciler: Reconciler,
        poller: BeatPoller,
        pace: Pace,
        health: Health,
        metrics: Metrics,
    ) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._poller = poller
        self._pace = pace
        self._health = health
        self._metrics = metrics
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def started(self) -> bool:
        """Tell whether they are at work."""
        return bool(self._tasks)

    def start(self) -> None:
        """Begin to work."""
        self._tasks = [asyncio.create_task(self._work(), name=f"worker {n}") for n in range(WORKERS)]

    async def stop(self) -> None:
        """Break off what is in work; the next start repairs what it leaves."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            self._health.begin(key)
            started = time.perf_counter()
            try:
                result = await self._work_on(key)
            finally:
                self._health.end(key)
                self._queue.done(key)
            self._metrics.seconds.labels(key.kind).observe(time.perf_counter() - started)
            self._metrics.reconciles.labels(key.kind, result).inc()

    async def _work_on(self, key: Key) -> str:
        try:
            done = await self._reconciler.reconcile(key)
        except ApiError as error:
            wait = self._queue.retry(key, error.retry_after)
            logger.warning("reconcile_failed", extra={"key": str(key), "error": error.message, "again_in": round(wait)})
            return "failed"
        except Exception:
            wait = self._queue.retry(key)
            logger.exception("reconcile_crashed", extra={"key": str(key), "again_in": round(wait)})
            return "crashed"
        if done.result == "gone":
            self._pace.forget(key)
        if done.retry:
            self._queue.retry(key, done.retry_after)
        else:
            self._queue.forget(key)
        if done.again is not None:
            self._queue.add_after(key, done.again)
        if key.kind == "Broker" and done.result == "changed":
            self._poller.expect((key.namespace, key.name))
        return done.result
