"""A subscription to the commands for all workers, in a thread of its own, across reconnects."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import orjson

from umbel.backoff import exponential
from umbel.polling import readable
from umbel.redis.connection import AWAY, ServerRefused, pack
from umbel.redis.endpoint import Endpoint

log = logging.getLogger("umbel.control")

#: Seconds of silence after which the connection is tried, and seconds for its answer.
QUIET = 15.0
ANSWER = 5.0


class RedisListener:
    """See `umbel.broker.base.Listener`. What is sent while the connection is down is not heard."""

    def __init__(self, endpoint: Endpoint, channel: str, handle: Callable[[dict[str, Any]], None]) -> None:
        self._endpoint = endpoint
        self._channel = channel
        self._handle = handle
        self.begun = False
        self._stopped = threading.Event()
        self._closing = threading.Lock()
        self._tries = 0  # in vain, in a row
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="umbel-listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._closing:  # the thread may see the order before it is woken, and closes what wakes it
            if not self._stopped.is_set():
                self._stopped.set()
                os.write(self._wake_write, b"x")

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except AWAY as error:
                level = logging.WARNING if self._tries == 0 and isinstance(error, ServerRefused) else logging.DEBUG
                log.log(level, "listener.reconnect", extra={"error": str(error)})
                if isinstance(error, ServerRefused) and error.code == "NOPERM":
                    self.begun = True  # nobody but an administrator changes that: tasks are run without
                readable([self._wake_read], exponential(self._tries, factor=0.1, cap=2.0))
                self._tries += 1
        with self._closing:
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _listen(self) -> None:
        connection = self._endpoint.connect_at(self._channel, 2.0)
        try:
            connection.call(b"SUBSCRIBE", self._channel, timeout=2.0)
            self._tries = 0
            self.begun = True
            while not self._stopped.is_set():
                if not connection.ready():
                    heard = readable([connection.fileno(), self._wake_read], QUIET)
                    if self._wake_read in heard:
                        return
                    if not heard:  # a peer that vanished without a word would be listened to for ever
                        connection.send(pack(b"PING"), ANSWER)
                answer = connection.receive(ANSWER)
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
