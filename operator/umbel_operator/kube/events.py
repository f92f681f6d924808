"""Events on the resources, as `kubectl describe` shows them: aggregated, never in anybody's way."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import ApiError, GoneError, Json
from umbel_operator.kube.resources import EVENTS

logger = logging.getLogger(__name__)

REPORTING_CONTROLLER = "umbel.dev/operator"

#: The API server refuses a longer note.
NOTE_CHARACTERS = 1024
#: An event that is silent for longer starts a new series (seconds).
SERIES_GAP = 360.0
#: Between two writes of one series (seconds): what comes meanwhile is only counted.
SERIES_PERIOD = 60.0
#: Series kept in memory.
SERIES_KEPT = 4096
#: Events of one reason on one object, whatever their note: so many at once, then one each `BURST_REFILL` seconds.
BURST, BURST_REFILL = 10, 30.0

_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Series:
    namespace: str
    name: str
    count: int
    last: float
    written: float


@dataclass(slots=True)
class _Budget:
    left: float = BURST
    at: float = field(default=0.0)


class Recorder:
    """Write events in the background; equal ones become one object with a count.

    clock: Unix time in seconds.
    """

    def __init__(self, api: Api, *, instance: str, clock: Callable[[], float] = time.time) -> None:
        self._api = api
        self._instance = instance[:128]
        self._clock = clock
        self._series: OrderedDict[_Key, _Series] = OrderedDict()
        self._budgets: OrderedDict[tuple[str, str], _Budget] = OrderedDict()
        self._pending: asyncio.Queue[tuple[Json, str, str, str, str]] = asyncio.Queue(maxsize=1000)
        self._task: asyncio.Task[None] | None = None
        #: Events that were not written: too many of a kind, or refused by the API server.
        self.dropped = 0

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="events")

    async def stop(self) -> None:
        """Write what waits, for two seconds at most, and end."""
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self._pending.join(), 2.0)
        except TimeoutError:
            self.dropped += self._pending.qsize()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def record(self, obj: Json, type_: str, reason: str, note: str, action: str = "Reconcile") -> None:
        """Note that something happened to an object.

        obj: the resource it happened to. type_: Normal or Warning. reason: CamelCase. note: one sentence.
        """
        try:
            self._pending.put_nowait((obj, type_, reason, note, action))
        except asyncio.QueueFull:
            self.dropped += 1

    async def _run(self) -> None:
        while True:
            event = await self._pending.get()
            try:
                await self.write(*event)
            except ApiError as error:
                self.dropped += 1
                logger.debug("event_not_written", extra={"error": error.message})
            except Exception:
                # One event that cannot be written must not end all that come later.
                self.dropped += 1
                logger.exception("event_crashed")
            finally:
                self._pending.task_done()

    async def write(self, obj: Json, type_: str, reason: str, note: str, action: str = "Reconcile") -> None:
        """Write one event now, as a new object or as one more of its series."""
        now = self._clock()
        uid = str(obj["metadata"].get("uid", ""))
        key = (uid, reason, note)
        series = self._series.get(key)
        if series is not None and now - series.last <= SERIES_GAP:
            series.count += 1
            series.last = now
            self._series.move_to_end(key)
            if now - series.written < SERIES_PERIOD:
                return
            if await self._write_series(series, now):
                return
        if not self._may(uid, reason, now):
            self.dropped += 1
            return
        await self._create(key, obj, type_, action, now)

    async def _write_series(self, series: _Series, now: float) -> bool:
        patch = {"series": {"count": series.count, "lastObservedTime": _micro(now)}}
        try:
            await self._api.merge_patch(EVENTS, series.namespace, series.name, patch)
        except GoneError:
            return False
        series.written = now
        return True

    async def _create(self, key: _Key, obj: Json, type_: str, action: str, now: float) -> None:
        uid, reason, note = key
        meta = obj["metadata"]
        namespace = str(meta.get("namespace") or "default")
        name = f"{str(meta['name'])[:200]}.{uuid4().hex[:16]}"
        await self._api.create(
            {
                "apiVersion": EVENTS.api_version,
                "kind": EVENTS.kind,
                "metadata": {"name": name, "namespace": namespace},
                "eventTime": _micro(now),
                "reportingController": REPORTING_CONTROLLER,
                "reportingInstance": self._instance,
                "type": type_,
                "reason": reason,
                "action": action,
                "note": note if len(note) <= NOTE_CHARACTERS else note[: NOTE_CHARACTERS - 1] + "…",
                "regarding": {
                    "apiVersion": obj["apiVersion"],
                    "kind": obj["kind"],
                    "name": meta["name"],
                    "namespace": meta.get("namespace"),
                    "uid": uid,
                    "resourceVersion": meta.get("resourceVersion"),
                },
            }
        )
        self._series[key] = _Series(namespace, name, 1, now, now)
        while len(self._series) > SERIES_KEPT:
            self._series.popitem(last=False)

    def _may(self, uid: str, reason: str, now: float) -> bool:
        budget = self._budgets.setdefault((uid, reason), _Budget(at=now))
        self._budgets.move_to_end((uid, reason))
        while len(self._budgets) > SERIES_KEPT:
            self._budgets.popitem(last=False)
        budget.left = min(float(BURST), budget.left + (now - budget.at) / BURST_REFILL)
        budget.at = now
        if budget.left < 1:
            return False
        budget.left -= 1
        return True


def _micro(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
