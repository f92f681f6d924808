"""Whose turn it is: smooth weighted round robin over the queues that may have something. Pure."""

from __future__ import annotations

from collections.abc import Sequence


class Turns:
    """The order in which a child asks its queues.

    Args:
        queues: names and weights; a queue of weight 3 is asked three times as often as one of weight 1.
    """

    def __init__(self, queues: Sequence[tuple[str, int]]) -> None:
        self._weights = dict(queues)
        self._credit = dict.fromkeys(self._weights, 0)
        self._promising = set(self._weights)

    def next(self) -> str | None:
        """Return the queue to ask now, None if none is known to have anything."""
        if len(self._promising) == 1:
            return next(iter(self._promising))
        if not self._promising:
            return None
        for queue in self._promising:
            self._credit[queue] += self._weights[queue]
        chosen = max(sorted(self._promising), key=self._credit.__getitem__)
        self._credit[chosen] -= sum(self._weights[queue] for queue in self._promising)
        return chosen

    def promising(self, queue: str) -> None:
        """The queue's bell rang, or it gave something: ask it again."""
        self._promising.add(queue)

    def empty(self, queue: str) -> None:
        """The queue gave nothing."""
        self._promising.discard(queue)
        self._credit[queue] = 0

    def all_promising(self) -> None:
        """Nobody knows: ask all of them."""
        self._promising = set(self._weights)
