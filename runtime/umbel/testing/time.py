"""Time that a test moves: for countdowns, retries and periodic tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from umbel.broker.memory import MemoryBroker
from umbel.clock import ManualClock
from umbel.results.memory import MemoryResults

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.result import AsyncResult


@contextmanager
def manual_time(app: Umbel, clock: ManualClock | None = None) -> Iterator[ManualClock]:
    """Have an app's broker, which must be ``memory://``, go by a clock that stands still until the test moves it.

    Countdowns, retries and expiry count by it: ``clock.advance(60)``, then `InMemoryWorker.run`.

    Raises:
        TypeError: the app's broker is another one.
    """
    there: Any = app.broker
    if not isinstance(there, MemoryBroker):
        raise TypeError(f"only a broker in memory can go by a manual clock, not {app.conf.broker_url!r}: use memory://")
    clock = clock or ManualClock()
    moved: Any = MemoryBroker(there.url, prefix=there.prefix, clock=clock)
    kept = app._results
    app._broker, app._results = moved, MemoryResults(there.url, prefix=there.prefix, clock=clock)
    app.conf.touch()
    try:
        yield clock
    finally:
        app._broker, app._results = there, kept
        app.conf.touch()


class ManualBeat:
    """Sends an app's periodic tasks as a test moves the time: the slots of ``beat_schedule``, in order, each once.

    Args:
        app: whose schedule it is.
        clock: that it moves; beginning now, nothing before is sent.
    """

    def __init__(self, app: Umbel, clock: ManualClock) -> None:
        self._app = app
        self._clock = clock
        self._begun = clock.time()
        self._last: dict[str, float] = {}
        app.import_modules()

    def advance(self, seconds: float) -> list[AsyncResult[Any]]:
        """Let time pass, and send what comes due on the way, each at its moment; return the results."""
        end = self._clock.time() + seconds
        results = []
        for when, body in self._slots(end):
            self._clock.advance(max(0.0, when - self._clock.time()))
            task = body["task"] if isinstance(body["task"], str) else body["task"].name
            options = dict(body.get("options") or {})
            args, kwargs = tuple(body.get("args") or ()), dict(body.get("kwargs") or {})
            results.append(self._app.send_task(task, args, kwargs, **options))
        self._clock.advance(max(0.0, end - self._clock.time()))
        return results

    def _slots(self, end: float) -> list[tuple[float, Any]]:
        from umbel.beat.appsource import trigger_of

        slots: list[tuple[float, int, Any]] = []
        for index, (name, body) in enumerate(self._app.conf.beat_schedule.items()):
            trigger = trigger_of(body["schedule"], self._app.conf.timezone, relative=bool(body.get("relative", False)))
            anchor = self._last.get(name, self._begun)
            while (following := _next(trigger, anchor)) is not None and following <= end:
                slots.append((following, index, body))
                anchor = self._last[name] = following
        return [(when, body) for when, _, body in sorted(slots, key=lambda slot: slot[:2])]


def _next(trigger: Any, after: float) -> float | None:
    from datetime import UTC, datetime

    following = trigger.next_after(datetime.fromtimestamp(after, UTC))
    return None if following is None else float(following.timestamp())
