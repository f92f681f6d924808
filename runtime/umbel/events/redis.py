"""Events in Redis: one capped stream for a deployment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import hiredis

from umbel.broker.base import ConnectionLost
from umbel.events.base import BEGINNING, Bounds
from umbel.redis import keys, scripts
from umbel.redis.connection import Argument, ConnectionBroken, RedisConnection, ServerRefused, pack
from umbel.redis.endpoint import Endpoint
from umbel.redis.pool import Pool

T = TypeVar("T")

#: Events that one call writes at the most, so that no script runs for long.
MOST = 1000


class RedisEvents:
    """See `umbel.events.base.EventLog`.

    Args:
        url: of the broker.
        prefix: of all keys.
        bounds: how much is kept.
        timeout: seconds for one call, tries included.
    """

    def __init__(self, url: str, *, prefix: str, bounds: Bounds | None = None, timeout: float = 5.0) -> None:
        self._key = keys.events(prefix)
        self._bounds = bounds or Bounds()
        self._timeout = timeout
        self._pool = Pool(Endpoint.from_environment(url), timeout)

    def write(self, events: Sequence[bytes]) -> None:
        bounds = (self._bounds.most, max(1, int(self._bounds.age * 1000)))
        for start in range(0, len(events), MOST):
            part = events[start : start + MOST]
            self._run(partial(self._note, (*bounds, *part)), repeat=False)

    def _note(self, arguments: Sequence[Argument], line: RedisConnection) -> None:
        scripts.note_events(line, (self._key,), arguments)

    def read(self, after: str, count: int, wait: float = 0.0) -> list[tuple[str, bytes]]:
        blocking = (b"BLOCK", max(1, int(wait * 1000))) if wait > 0 else ()
        packed = pack(b"XREAD", b"COUNT", count, *blocking, b"STREAMS", self._key, after)

        def ask(line: RedisConnection) -> list[tuple[str, bytes]]:
            answer = line.ask(self._key, packed, self._timeout + wait)
            if isinstance(answer, hiredis.ReplyError):
                raise ServerRefused(str(answer))
            if not answer:
                return []
            return [(position.decode(), fields[1]) for position, fields in answer[0][1]]

        return self._run(ask, more=wait)

    def newest(self) -> str:
        found = self._run(lambda line: line.call(b"XREVRANGE", self._key, b"+", b"-", b"COUNT", 1))
        return found[0][0].decode() if found else BEGINNING

    def ago(self, seconds: float) -> str:
        now, micros = self._run(lambda line: line.call(b"TIME"))
        return f"{max(0, int(now) * 1000 + int(micros) // 1000 - int(seconds * 1000))}-0"

    def close(self) -> None:
        self._pool.close()

    def _run(self, work: Callable[[RedisConnection], T], *, more: float = 0.0, repeat: bool = True) -> T:
        try:
            return self._pool.run(work, deadline=self._timeout + more, repeat=repeat)
        except ConnectionBroken as error:
            raise ConnectionLost(str(error)) from error
