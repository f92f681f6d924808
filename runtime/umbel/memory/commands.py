"""Control commands in memory: each listener has a thread of its own, as a subscription has."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

import orjson

from umbel.ids import new_client_id

logger = logging.getLogger("umbel.control")


class Commands:
    """Those who listen to one store."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[MemoryListener] = []
        self._answers: dict[str, MemoryAnswers] = {}

    def send(self, command: dict[str, Any]) -> int:
        """Hand a command, which JSON must be able to carry, to each listener; return how many there are."""
        raw = orjson.dumps(command)
        with self._lock:
            for listener in self._listeners:
                listener.put(raw)
            return len(self._listeners)

    def listen(self, handle: Callable[[dict[str, Any]], None]) -> MemoryListener:
        """Call ``handle`` with each command from now on."""
        listener = MemoryListener(handle, self._remove)
        with self._lock:
            self._listeners.append(listener)
        return listener

    def answers(self) -> MemoryAnswers:
        """Open a place for answers."""
        place = MemoryAnswers(self._answers.pop)
        self._answers[place.address] = place
        return place

    def answer(self, address: str, answer: dict[str, Any]) -> bool:
        """Hand an answer, which JSON must be able to carry, to who asked; False if nobody waits there any more."""
        place = self._answers.get(address)
        if place is None:
            return False
        place.put(orjson.dumps(answer))
        return True

    def _remove(self, listener: MemoryListener) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)


class MemoryAnswers:
    """A place for answers; see `umbel.broker.base.Answers`.

    Args:
        forget: takes the address when no more answers are wanted.
    """

    def __init__(self, forget: Callable[[str, None], object]) -> None:
        self.address = new_client_id()
        self._forget = forget
        self._waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def put(self, raw: bytes) -> None:
        """Queue an answer for who asked."""
        self._waiting.put(raw)

    def next(self, timeout: float) -> dict[str, Any] | None:
        """Return the next answer; None if none came within ``timeout`` seconds."""
        try:
            answer: dict[str, Any] = orjson.loads(self._waiting.get(timeout=max(0.0, timeout)))
        except queue.Empty:
            return None
        return answer

    def close(self) -> None:
        """Take no more answers."""
        self._forget(self.address, None)


class MemoryListener:
    """A running subscription.

    Args:
        handle: is called with each command, from the listener's thread.
        remove: ends the delivery of commands to this listener.
    """

    begun = True

    def __init__(self, handle: Callable[[dict[str, Any]], None], remove: Callable[[MemoryListener], None]) -> None:
        self._handle = handle
        self._remove = remove
        self._commands: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="umbel-memory-listener", daemon=True)
        self._thread.start()

    def put(self, raw: bytes) -> None:
        """Queue a command for the listener's thread."""
        self._commands.put(raw)

    def stop(self) -> None:
        """Hear nothing more."""
        self._remove(self)
        self._commands.put(None)

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended, for at most ``timeout`` seconds."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while (raw := self._commands.get()) is not None:
            try:
                self._handle(orjson.loads(raw))
            except Exception:
                logger.exception("control.failed", extra={"command": raw[:200].decode("utf-8", "replace")})
