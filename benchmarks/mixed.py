"""Long and short tasks mixed at random: whether a child holds a task that it has not begun while a neighbour idles."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heapify, heapreplace
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.rounds import Entrant
from benchmarks.turn import Turn, new_turn
from umbel import Umbel
from umbel.redis import keys
from umbel.redis.connection import Argument
from umbel.redis.endpoint import Endpoint

CHILDREN = (2, 4, 8)
LONG, SHORT = 1.0, 0.001
#: Of each child: long tasks, and short ones.
_LONGS, _SHORTS = 3, 150
_WARM_UP = 500
#: Short tasks of a burst, which has one long task besides, and bursts.
_BURST, _BURSTS = 60, 3
_SEED = 7
_QUEUE = "default"
_PREFIX = "umbel"
_LOOK_SECONDS = 0.002
_TIMEOUT = 60.0


class Holdings:
    """What each child holds, as Redis knows it.

    Args:
        url: of the broker.
        prefix: of all keys.
        queue: its name.
        owners: of the children.
    """

    def __init__(self, url: str, prefix: str, queue: str, owners: Sequence[str]) -> None:
        self._connection = Endpoint(url).connect(5.0)
        self._commands: list[tuple[Argument, ...]] = [(b"HLEN", keys.owned(prefix, queue, owner)) for owner in owners]

    def watch(self, done: Callable[[], object], pause: float = _LOOK_SECONDS) -> float:
        """Look again and again until ``done``; return the longest time for which a child held what it had not begun while
        another held nothing, in seconds."""
        worst, since = 0.0, None
        while not done():
            now = time.monotonic()
            # One field says that the owner lives. One message may be the one that runs.
            held = [length - 1 for length in self._connection.call_many(self._commands)]
            if min(held) < 0:
                raise BenchmarkError(f"an owner is gone, or has nothing to do with the queue: {held}")
            if max(held) > 1 and min(held) == 0:
                since = now if since is None else since
                worst = max(worst, now - since)
            else:
                since = None
            time.sleep(pause)
        return worst

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def mixture(longs: int, shorts: int, long: float = LONG, short: float = SHORT) -> list[float]:
    """Return the seconds of so many long and short tasks, in an order that looks random and is always the same."""
    seconds = [long] * longs + [short] * shorts
    random.Random(_SEED).shuffle(seconds)
    return seconds


def ideal(seconds: Sequence[float], children: int) -> float:
    """Return how long tasks take if each begins, in their order, as soon as any child is free, and nothing else costs time."""
    free = [0.0] * children
    heapify(free)
    for duration in seconds:
        heapreplace(free, free[0] + duration)
    return max(free)


def mix(entrant: Entrant, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return for each number of children the longest holding, the time that all took, and the ideal; in seconds."""
    found = []
    for children in CHILDREN:
        tell(f"long and short tasks mixed, {children} children")
        with new_turn(entrant.name, entrant.peer, entrant.bin_dir, processes=children) as turn:
            found.append({"children": children} | _take(turn, children))
    return found


def _take(turn: Turn, children: int) -> dict[str, Any]:
    app = Umbel("mixed", broker=turn.server.url, backend=turn.server.url)
    seconds = mixture(_LONGS * children, _SHORTS * children)
    try:
        with turn.worker():
            owners = _owners(app, children)
            _send(app, [SHORT] * _WARM_UP)
            _wait_for(app, _WARM_UP, turn)
            holdings = Holdings(turn.server.url, _PREFIX, _QUEUE, owners)
            ran = _WARM_UP
            worsts = []
            # Bursts that one child takes as a whole, then all at once.
            for sent in (*[mixture(1, _BURST, short=0.0)] * _BURSTS, seconds):
                ran += len(sent)
                begun = time.monotonic()
                _send(app, sent)
                worsts.append(holdings.watch(partial(_ended, turn, ran, begun)))
                took = time.monotonic() - begun
            holdings.close()
    finally:
        app.close()
    if turn.ran() != ran:
        raise BenchmarkError(f"{ran} tasks had not run after {_TIMEOUT:.0f} s")
    return {"worst_hold": max(worsts), "took": took, "ideal": ideal(seconds, children), "tasks": len(seconds)}


def _ended(turn: Turn, ran: int, begun: float) -> bool:
    return turn.ran() >= ran or time.monotonic() - begun > _TIMEOUT


def _owners(app: Umbel, children: int) -> list[str]:
    """Return the owners once all children are there."""
    liveness = app.broker.liveness()
    end = time.monotonic() + _TIMEOUT
    try:
        while len(owners := [owner.id for owner in liveness.owners()]) < children:
            if time.monotonic() > end:
                raise BenchmarkError(f"only {len(owners)} of {children} children came up")
            time.sleep(0.02)
        return owners
    finally:
        liveness.close()


def _send(app: Umbel, seconds: Sequence[float]) -> None:
    with app.batch():
        for duration in seconds:
            app.send_task("nap", args=(duration,))


def _wait_for(app: Umbel, tasks: int, turn: Turn) -> None:
    end = time.monotonic() + _TIMEOUT
    while turn.ran() < tasks or app.broker.info(_QUEUE).in_flight:
        if time.monotonic() > end:
            raise BenchmarkError(f"{tasks} short tasks had not run after {_TIMEOUT:.0f} s")
        time.sleep(0.02)
