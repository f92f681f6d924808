"""The order of fairness between groups, of one priority: start-time fair queueing, as the Lua scripts have it."""

from __future__ import annotations

import heapq
from typing import Final

#: Where the clock begins; what goes back to the front stands below. And the cost of one message at weight 1.
START: Final = 2**48
COST: Final = 1000


class Fair:
    """The messages of groups that wait, each with its start: the least is served next."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, bytes]] = []
        self._clock = START
        self._turn = 0  # of what has no group
        self._last: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def head(self) -> bytes:
        """The message that is served next."""
        return self._waiting[0][1]

    @property
    def is_others_turn(self) -> bool:
        """Whether a message without a group, if there is one, is served before `head`."""
        return max(self._clock, self._turn) <= self._waiting[0][0]

    def add(self, payload: bytes, digest: bytes, weight: int) -> None:
        """Let a message wait behind the others of its group."""
        start = max(self._clock, self._last.get(digest, 0))
        heapq.heappush(self._waiting, (start, payload))
        self._last[digest] = start + COST // weight

    def add_in_front(self, payload: bytes) -> None:
        """Let a message wait in front of all others."""
        first = min(self._waiting[0][0], START) if self._waiting else START
        heapq.heappush(self._waiting, (first - 1, payload))

    def pop(self) -> bytes:
        """Take the message that is served next."""
        start, payload = heapq.heappop(self._waiting)
        self._advance(start)
        return payload

    def pass_over(self) -> None:
        """Note that a message without a group was served."""
        start = max(self._clock, self._turn)
        self._turn = start + COST
        self._advance(start)

    def pop_last(self) -> bytes:
        """Take the message that is served last."""
        last = max(self._waiting)
        self._waiting.remove(last)
        heapq.heapify(self._waiting)
        return last[1]

    def clear(self) -> None:
        """Drop everything."""
        self._waiting.clear()
        self.settle()

    def settle(self) -> None:
        """Forget what only mattered while somebody waited; called when a fetch has found nobody."""
        self._clock, self._turn = START, 0
        self._last.clear()

    def _advance(self, start: int) -> None:
        self._clock = max(self._clock, start)
        if not self._waiting:
            self.settle()
            return
        if len(self._last) > 2 * len(self._waiting):  # those that lie behind would start at the clock anyway
            self._last = {digest: last for digest, last in self._last.items() if last > self._clock}
