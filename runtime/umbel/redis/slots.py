"""Which node of a Redis Cluster holds which key."""

from __future__ import annotations

import time
from binascii import crc_hqx
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from umbel.errors import OperationalError
from umbel.redis.connection import ConnectionBroken, RedisConnection, ServerRefused
from umbel.redis.members import Address

SLOTS = 16384
#: Seconds between two looks at the map that something made doubtful.
LOOK_AGAIN = 0.05

#: Opens a connection to one node: address, seconds.
Open = Callable[[Address, float], RedisConnection]


def slot_of(key: str | bytes) -> int:
    """Return the slot of a key: of what stands in its first braces, where something does."""
    raw = key.encode() if isinstance(key, str) else key
    start = raw.find(b"{")
    if start >= 0:
        end = raw.find(b"}", start + 1)
        if end > start + 1:
            raw = raw[start + 1 : end]
    return crc_hqx(raw, 0) % SLOTS


class _Map(NamedTuple):
    """One answer to CLUSTER SLOTS."""

    starts: tuple[int, ...] = ()
    ranges: tuple[tuple[int, Address], ...] = ()  #: of each start the last slot, and the master
    nodes: tuple[Address, ...] = ()  #: masters first


class SlotMap:
    """What one process knows of a cluster; shared by all its connections, and right until a node says otherwise.

    Without a lock: what changes is replaced in one step, and a forked process goes on with what its parent knew.

    Args:
        seeds: the nodes that the URL names.
    """

    def __init__(self, seeds: Iterable[Address]) -> None:
        self._seeds = tuple(seeds)
        self._map = _Map()
        self._moved: dict[int, Address] = {}
        self._doubtful = True
        self._looked = -LOOK_AGAIN

    def find(self, slot: int, opening: Open, timeout: float) -> Address:
        """Return the master of a slot.

        Raises:
            ConnectionBroken: no node can be asked, or nobody serves the slot; nothing was sent.
        """
        known = self._known(opening, timeout)
        moved = self._moved.get(slot)
        if moved is not None:
            return moved
        at = bisect_right(known.starts, slot) - 1
        if at >= 0 and known.ranges[at][0] >= slot:
            return known.ranges[at][1]
        self._doubtful = True
        raise ConnectionBroken(f"no node of the cluster serves slot {slot}", sent=False)

    def any(self, opening: Open, timeout: float) -> Address:
        """Return some master."""
        known = self._known(opening, timeout)
        return known.nodes[0] if known.nodes else self._seeds[0]

    def _known(self, opening: Open, timeout: float) -> _Map:
        """Return the map; read it first if it is in doubt, but not over and over while a failover lasts."""
        known = self._map
        if not known.nodes or (self._doubtful and time.monotonic() - self._looked >= LOOK_AGAIN):
            self.read(opening, timeout)
        return self._map

    def moved(self, slot: int, address: Address) -> None:
        """Note what a node has said of a slot; the rest of the map is read anew before the next use."""
        self._moved = {**self._moved, slot: address}
        self._doubtful = True

    def doubt(self) -> None:
        """Read the map before its next use: a node is away, or says that the cluster is."""
        self._doubtful = True

    def read(self, opening: Open, timeout: float) -> None:
        """Ask one node after another for the map.

        Raises:
            ConnectionBroken: none answers; nothing was sent.
            OperationalError: those who answer refuse the credentials.
        """
        self._looked = time.monotonic()
        asked: list[str] = []
        refused: OperationalError | None = None
        for address in dict.fromkeys((*self._map.nodes, *self._seeds)):
            try:
                self._learn(_slots(address, opening, timeout), address)
                return
            except ConnectionBroken as error:
                asked.append(f"{address[0]}:{address[1]}: {error}")
            except OperationalError as error:
                asked.append(f"{address[0]}:{address[1]}: {error}")
                refused = error
        if refused is not None:
            raise refused
        raise ConnectionBroken(f"no node of the cluster answers ({'; '.join(asked)})", sent=False)

    def _learn(self, answer: list[Any], asked: Address) -> None:
        ranges = sorted((int(first), int(last), _place(nodes[0], asked)) for first, last, *nodes in answer)
        masters = dict.fromkeys(master for _, _, master in ranges)
        others = dict.fromkeys(_place(node, asked) for _, _, *nodes in answer for node in nodes[1:])
        # In this order: what a node says meanwhile is kept, and puts the new map in doubt.
        self._doubtful = False
        self._moved = {}
        self._map = _Map(
            tuple(first for first, _, _ in ranges),
            tuple((last, master) for _, last, master in ranges),
            tuple(dict.fromkeys((*masters, *others))),
        )


def _slots(address: Address, opening: Open, timeout: float) -> list[Any]:
    """Ask one node for the map."""
    connection = opening(address, timeout)
    try:
        found: list[Any] = connection.call(b"CLUSTER", b"SLOTS", timeout=timeout)
    except ServerRefused as error:
        if "cluster support disabled" in str(error):
            raise OperationalError(
                f"Redis at {address[0]}:{address[1]} is no node of a cluster ({error}): use redis:// in place of redis+cluster://"
            ) from error
        raise
    finally:
        connection.close()
    return found


def _place(node: list[Any], asked: Address) -> Address:
    """Return the address of a node; one that does not know its own is where it was asked."""
    host = node[0].decode() if node[0] else ""
    return (asked[0] if host in ("", "?") else host), int(node[1])
