"""Which tasks are revoked, as a worker knows it: bounded, and told to each child in packets that fit, each id once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import islice

from umbel.broker.base import REVOKED_MOST
from umbel.worker.link import PACKET
from umbel.worker.seat import Seat


class Revoked:
    """The ids that a process knows as revoked; of too many the oldest are forgotten, as the broker does. Thread-safe.

    Args:
        most: ids at the most.
    """

    def __init__(self, most: int = REVOKED_MOST) -> None:
        self._most = most
        self._ids: dict[str, None] = {}
        self._forgotten = 0
        self._lock = threading.Lock()

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self._ids))

    def update(self, ids: Iterable[str]) -> None:
        """Take in ids, in the order of their revocation."""
        with self._lock:
            self._ids.update(dict.fromkeys(ids))
            surplus = len(self._ids) - self._most
            if surplus > 0:
                for task_id in list(islice(self._ids, surplus)):
                    del self._ids[task_id]
                self._forgotten += surplus

    @property
    def end(self) -> int:
        """How many ids were ever taken in: where the next one will stand."""
        return self._forgotten + len(self._ids)

    def after(self, position: int) -> list[str]:
        """Return the ids from a position on that are not forgotten."""
        with self._lock:
            return list(islice(self._ids, max(0, position - self._forgotten), None))


def tell_revoked(seat: Seat, revoked: Revoked) -> None:
    """Tell a child what it was not told yet. What it has no room for now is told the next time."""
    if seat.link is None or seat.told >= revoked.end:
        return
    ids = revoked.after(seat.told)
    told = revoked.end - len(ids)
    packet: list[str] = []
    size = 0
    for task_id in (*ids, None):
        if task_id is None or size + 6 * len(task_id) > PACKET // 2:
            if packet and not seat.link.send({"what": "revoked", "ids": packet}):
                return
            told += len(packet)
            seat.told = told
            packet, size = [], 0
        if task_id is not None:
            packet.append(task_id)
            size += 6 * len(task_id) + 3  # as JSON writes the worst of them
