"""Whose turn it is, over the queues that may have something: weighted, round robin, or strictly in their order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import StrEnum

#: Seconds after which a queue that gave nothing is asked again while another one gives: who works hears no bell. Strictly
#: ordered queues are asked sooner, since the others are not to go on beside them.
LOOK_AGAIN = 0.1
LOOK_AGAIN_STRICT = 0.01

Queues = tuple[tuple[str, int], ...]


class Order(StrEnum):
    """In which order a worker serves its queues."""

    WEIGHTED = "weighted"  #: a queue of weight 3 is asked three times as often as one of weight 1
    ROUND_ROBIN = "round-robin"  #: in turn, whatever their weights
    STRICT = "strict"  #: the first one that has something


def in_order(queues: Queues, order: Order) -> Queues:
    """Return the queues with the weights that make `Turns` keep to an order."""
    if order is Order.WEIGHTED:
        return queues
    weight = 0 if order is Order.STRICT else 1
    return tuple((name, weight) for name, _ in queues)


class Turns:
    """The order in which a child asks its queues: smooth weighted round robin, or strict.

    Args:
        queues: names and weights; weights of 0 stand for the order in which they are named.
        clock: monotonic, in seconds.
    """

    def __init__(self, queues: Sequence[tuple[str, int]], clock: Callable[[], float] = time.monotonic) -> None:
        self._weights = dict(queues)
        self._strict = not any(self._weights.values())
        self._credit = dict.fromkeys(self._weights, 0)
        self._promising = set(self._weights)
        self._emptied: dict[str, float] = {}
        self._clock = clock

    def next(self) -> str | None:
        """Return the queue to ask now, None if none is known to have anything."""
        if len(self._promising) == 1:
            return next(iter(self._promising))
        if not self._promising:
            return None
        if self._strict:
            return next(queue for queue in self._weights if queue in self._promising)
        for queue in self._promising:
            self._credit[queue] += self._weights[queue]
        chosen = max(sorted(self._promising), key=self._credit.__getitem__)
        self._credit[chosen] -= sum(self._weights[queue] for queue in self._promising)
        return chosen

    def promising(self, queue: str) -> None:
        """The queue's bell rang, or it gave something: ask it again, and now and then those that had nothing."""
        self._promising.add(queue)
        if self._emptied:
            self._emptied.pop(queue, None)
            before = self._clock() - (LOOK_AGAIN_STRICT if self._strict else LOOK_AGAIN)
            for other, when in list(self._emptied.items()):
                if when <= before:
                    self._promising.add(other)
                    del self._emptied[other]

    def empty(self, queue: str) -> None:
        """The queue gave nothing."""
        self._promising.discard(queue)
        self._credit[queue] = 0
        self._emptied[queue] = self._clock()

    def all_promising(self) -> None:
        """Nobody knows: ask all of them."""
        self._promising = set(self._weights)
        self._emptied.clear()
