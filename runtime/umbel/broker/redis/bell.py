"""Waiting for work: one blocking BZPOPMIN on the bells of all queues, on a connection of its own."""

from __future__ import annotations

from collections.abc import Sequence

from umbel.broker.base import ConnectionLost
from umbel.redis import keys
from umbel.redis.connection import AWAY, RedisConnection, pack
from umbel.redis.endpoint import Endpoint

#: Seconds that the answer may be late beyond the time that was asked for.
GRACE = 5.0
#: The same where another server takes over from one that stands still.
STANDBY_GRACE = 2.0


class RedisBell:
    """See `umbel.broker.base.Bell`."""

    def __init__(self, endpoint: Endpoint, prefix: str) -> None:
        self.late = STANDBY_GRACE if endpoint.redundant else GRACE
        self._endpoint = endpoint
        self._prefix = prefix
        self._connection: RedisConnection | None = None
        self._timeout = 0.0
        self._names: dict[bytes, str] = {}

    def fileno(self) -> int:
        if self._connection is None:
            raise ConnectionLost("nothing was asked")
        return self._connection.fileno()

    def ask(self, queues: Sequence[str], timeout: float) -> None:
        self._names = {keys.queue(self._prefix, name).bell.encode(): name for name in queues}
        self._timeout = timeout
        try:
            if self._connection is None:
                self._connection = self._endpoint.connect(2.0)
            self._connection.send(pack(b"BZPOPMIN", *self._names, f"{max(timeout, 0.001):.3f}"), self.late)
        except AWAY as error:
            raise self._lose(error) from error

    def answer(self) -> str | None:
        if self._connection is None:
            raise ConnectionLost("nothing was asked")
        try:
            answer = self._connection.receive(self._timeout + self.late)
        except AWAY as error:
            raise self._lose(error) from error
        if isinstance(answer, Exception):
            raise self._lose(answer)
        return None if answer is None else self._names.get(answer[0])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _lose(self, error: Exception) -> ConnectionLost:
        self.close()
        return ConnectionLost(str(error))
