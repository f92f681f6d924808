"""A subscription to the commands for all workers, in a thread of its own, across reconnects."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable
from typing import Any

import orjson

from umbel.backoff import exponential
from umbel.redis.connection import AWAY, Endpoint, pack

log = logging.getLogger("umbel.control")


class RedisListener:
    """See `umbel.broker.base.Listener`. What is sent while the connection is down is not heard."""

    def __init__(self, endpoint: Endpoint, channel: str, handle: Callable[[dict[str, Any]], None]) -> None:
        self._endpoint = endpoint
        self._channel = channel
        self._handle = handle
        self._stopped = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="umbel-listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if not self._stopped.is_set():
            self._stopped.set()
            os.write(self._wake_write, b"x")

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def _run(self) -> None:
        tries = 0
        while not self._stopped.is_set():
            try:
                self._listen()
                tries = 0
            except AWAY as error:
                log.debug("listener.reconnect", extra={"error": str(error)})
                select.select([self._wake_read], [], [], exponential(tries, factor=0.1, cap=2.0))
                tries += 1
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _listen(self) -> None:
        connection = self._endpoint.connect(2.0)
        try:
            connection.send(pack(b"SUBSCRIBE", self._channel), 2.0)
            connection.receive(2.0)
            while not self._stopped.is_set():
                if not connection.ready():
                    readable, _, _ = select.select([connection.fileno(), self._wake_read], [], [])
                    if self._wake_read in readable:
                        return
                answer = connection.receive(5.0)
                if isinstance(answer, list) and answer[0] == b"message":
                    self._dispatch(answer[2])
        finally:
            connection.close()

    def _dispatch(self, raw: bytes) -> None:
        try:
            command = orjson.loads(raw)
        except orjson.JSONDecodeError:
            log.warning("control.unreadable", extra={"size": len(raw)})
            return
        if not isinstance(command, dict):
            return
        try:
            self._handle(command)
        except Exception:
            log.exception("control.failed", extra={"command": command.get("command")})
