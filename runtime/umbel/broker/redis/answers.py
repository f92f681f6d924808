"""A place for answers to commands: a channel of its own, as lossy as the channel of the commands, and as free of keys."""

from __future__ import annotations

import logging
import time
from typing import Any

import orjson

from umbel.errors import OperationalError
from umbel.ids import new_client_id
from umbel.polling import readable
from umbel.redis import keys
from umbel.redis.connection import AWAY, RedisConnection
from umbel.redis.endpoint import Endpoint

log = logging.getLogger("umbel.control")

#: Seconds to connect, and between two tries to connect again.
CONNECT = 2.0
PAUSE = 0.05


class RedisAnswers:
    """See `umbel.broker.base.Answers`."""

    def __init__(self, endpoint: Endpoint, prefix: str) -> None:
        self.address = keys.answers_channel(prefix, new_client_id())
        self._endpoint = endpoint
        self._connection: RedisConnection | None = None
        try:
            self._subscribe()
        except OperationalError:
            raise
        except AWAY as error:
            raise OperationalError(
                f"Redis at {endpoint.address} cannot be reached ({error}): check that it runs and that the broker URL is right"
            ) from error

    def next(self, timeout: float) -> dict[str, Any] | None:
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            try:
                connection = self._connection or self._subscribe()
                if not connection.ready() and not readable([connection.fileno()], left):
                    return None
                found = _read(connection.receive(CONNECT))
            except AWAY as error:
                log.debug("answers.reconnect", extra={"error": str(error)})
                self.close()
                time.sleep(min(PAUSE, max(0.0, until - time.monotonic())))
                continue
            if found is not None:
                return found
        return None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _subscribe(self) -> RedisConnection:
        connection = self._endpoint.connect_at(self.address, CONNECT)
        try:
            connection.call(b"SUBSCRIBE", self.address, timeout=CONNECT)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection


def _read(pushed: Any) -> dict[str, Any] | None:
    """Return the answer that a message of a subscription carries, None if it is none."""
    if not isinstance(pushed, list) or pushed[0] != b"message":
        return None
    try:
        answer = orjson.loads(pushed[2])
    except orjson.JSONDecodeError:
        log.warning("answer.unreadable", extra={"size": len(pushed[2])})
        return None
    return answer if isinstance(answer, dict) else None
