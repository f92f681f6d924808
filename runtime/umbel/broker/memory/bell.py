"""Waiting for work of an in-memory broker."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence

from umbel.memory.bells import DEADLINES
from umbel.memory.store import Store


class MemoryBell:
    """See `umbel.broker.base.Bell`. A pipe stands for the connection: it is readable once the answer is there."""

    late = 5.0

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reader, self._writer = os.pipe()
        self._asked = 0
        self._told: list[str | None] = []
        self._closed = False

    def fileno(self) -> int:
        return self._reader

    def ask(self, queues: Sequence[str], timeout: float) -> None:
        with self._store.locked():
            self._asked += 1
            asked = self._asked
            self._store.bells.wait(self, queues)
        DEADLINES.call_in(timeout, lambda: self._time_out(asked))

    def answer(self) -> str | None:
        select.select([self._reader], [], [])
        with self._store.locked():
            os.read(self._reader, 1)
            return self._told.pop(0)

    def close(self) -> None:
        with self._store.locked():
            if self._closed:
                return
            self._closed = True
            self._store.bells.give_up(self)
            for queue in filter(None, self._told):
                self._store.bells.ring(queue)
            os.close(self._reader)
            os.close(self._writer)

    def tell(self, queue: str | None) -> None:
        """Answer what was asked; called under the lock of the store."""
        self._told.append(queue)
        os.write(self._writer, b"!")

    def _time_out(self, asked: int) -> None:
        with self._store.locked():
            if asked == self._asked and self._store.bells.give_up(self):
                self.tell(None)
