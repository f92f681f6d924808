"""Reads events: those to come, or also those of the last hours."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from umbel.backoff import exponential
from umbel.broker.base import ConnectionLost
from umbel.errors import OperationalError
from umbel.events.base import EventLog, clock_of

if TYPE_CHECKING:
    from umbel.app import Umbel

log = logging.getLogger("umbel.events")

Event = dict[str, Any]
Handler = Callable[[Event], object]

#: Events that one call reads, and seconds that it waits for the first one.
BATCH: Final = 500
WAIT: Final = 1.0
#: Seconds back from now in which every worker that is alive has said so.
RECENT: Final = 25.0


class Receiver:
    """Calls handlers with the events of an app's deployment, from the moment at which it begins to read.

    It keeps its place: an event that is written while the broker or this process is away is read afterwards.

    Args:
        app: whose broker has the events.
        handlers: by the type of an event; ``"*"`` gets those that have none. A handler of all types is ``{"*": f}``.
        since: seconds back from now from which on events are read, 0 for all that are kept, None for those to come.
        log: where events are kept; the app's.
    """

    def __init__(
        self,
        app: Umbel,
        handlers: Mapping[str, Handler] | None = None,
        *,
        since: float | None = None,
        log: EventLog | None = None,
    ) -> None:
        self.app = app
        self.handlers = dict(handlers or {})
        #: Set it from a handler, or from another thread, and `capture` returns within a second.
        self.should_stop = False
        self._log = log if log is not None else app.events.open()
        self._since = since
        self._position: str | None = None

    def capture(self, limit: int | None = None, timeout: float | None = None, wakeup: bool = True) -> None:
        """Call the handlers, until told to end.

        Args:
            limit: end after so many events.
            timeout: seconds without an event after which this ends with an exception.
            wakeup: begin with the last heartbeats of the workers, so that these are known at once.

        Raises:
            TimeoutError: as said; it is the same as ``socket.timeout``.
        """
        for _ in self.itercapture(limit, timeout, wakeup):
            pass

    def itercapture(
        self, limit: int | None = None, timeout: float | None = None, wakeup: bool = True
    ) -> Iterator[Event]:
        """As `capture`, with each event once its handlers were called."""
        count, tries = 0, 0
        heard = time.monotonic()
        while not self._told_to_stop() and (limit is None or count < limit):
            try:
                if self._position is None:
                    yield from self._begin(wakeup)
                    continue
                most = BATCH if limit is None else min(BATCH, limit - count)
                left = WAIT if timeout is None else min(WAIT, max(0.001, heard + timeout - time.monotonic()))
                found = self._log.read(self._position, most, left)
            except (ConnectionLost, OperationalError) as error:
                self._rest(tries, error, None if timeout is None else heard + timeout)
                tries += 1
                continue
            tries = 0
            for position, raw in found:
                self._position = position
                event = self._read(position, raw)
                if event is not None:
                    count += 1
                    self.process(event["type"], event)
                    yield event
                if self._told_to_stop():
                    return
            if found:
                heard = time.monotonic()
            elif timeout is not None and time.monotonic() - heard >= timeout:
                raise TimeoutError(f"no event for {timeout:g} s")

    def _told_to_stop(self) -> bool:
        return self.should_stop

    def process(self, type: str, event: Event) -> None:
        """Call the handler of one event."""
        handler = self.handlers.get(type) or self.handlers.get("*")
        if handler is not None:
            handler(event)

    def close(self) -> None:
        """Drop the connection."""
        self.should_stop = True
        self._log.close()

    def _begin(self, wakeup: bool) -> Iterator[Event]:
        if self._since is not None:
            self._position = self._log.ago(self._since) if self._since else "0-0"
            return
        newest = self._log.newest()
        position = self._log.ago(RECENT)
        while wakeup and clock_of(position) < clock_of(newest):
            found = self._log.read(position, BATCH)
            if not found:
                break
            for position, raw in found:
                if clock_of(position) > clock_of(newest):
                    break
                event = self._read(position, raw)
                if event is not None and event["type"].startswith("worker-"):
                    self.process(event["type"], event)
                    yield event
        self._position = newest

    def _read(self, position: str, raw: bytes) -> Event | None:
        try:
            event: Event = orjson.loads(raw)
            event["type"] = str(event["type"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            log.warning("event.unreadable", extra={"position": position})
            return None
        event["clock"] = clock_of(position)
        event["local_received"] = time.time()
        return event

    def _rest(self, tries: int, error: Exception, until: float | None) -> None:
        if until is not None and time.monotonic() >= until:
            raise TimeoutError("no event: the broker cannot be reached") from error
        log.log(logging.WARNING if tries == 1 else logging.DEBUG, "broker.away", extra={"error": str(error)})
        time.sleep(exponential(min(tries, 5), factor=0.1, cap=2.0))

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
