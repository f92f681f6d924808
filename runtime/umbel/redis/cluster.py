"""The connections of one user to a Redis Cluster: one a node, opened when first needed, found by the keys of a command."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import hiredis

from umbel.redis.connection import Argument, ConnectionBroken, RedisConnection, ServerRefused, pack
from umbel.redis.members import Address
from umbel.redis.slots import Open, SlotMap, slot_of

#: How often a command may be sent on to another node.
MOST_REDIRECTS = 8
#: Commands without a key: any node answers them.
KEYLESS: Final = frozenset({b"CLIENT", b"CONFIG", b"INFO", b"PING", b"SCRIPT", b"TIME"})
#: Answers after which the map is read again: the node knows it is cut off, or is no master any more.
DOUBTS: Final = frozenset({"CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "TRYAGAIN"})
_ASKING: Final = pack(b"ASKING")


class ClusterConnection(RedisConnection):
    """Talks to the node that a command's first key belongs to. Not thread-safe, not to be used across a fork.

    Args:
        slots: shared with the other connections of this process.
        opening: opens a connection to one node.
        timeout: seconds for opening one.
    """

    clustered = True

    def __init__(self, slots: SlotMap, opening: Open, timeout: float) -> None:
        self._slots = slots
        self._opening = opening
        self._timeout = timeout
        self._nodes: dict[Address, RedisConnection] = {}
        self._last: RedisConnection | None = None  # that answered
        self.pid = os.getpid()
        self.idle_since = time.monotonic()

    def __del__(self) -> None:
        """Leave the sockets to the nodes' own connections."""

    def close(self) -> None:
        nodes, self._nodes = self._nodes, {}
        for connection in nodes.values():
            connection.close()

    def stale(self) -> bool:
        """Drop what a peer has closed; the others are as good as new ones."""
        for address, connection in list(self._nodes.items()):
            if connection.stale():
                self._drop(address)
        return False

    def at(self, key: str | bytes) -> RedisConnection:
        """Return the connection to the node that, as far as is known, holds a key."""
        return self._node(self._slots.find(slot_of(key), self._opening, self._timeout))

    def ask(self, key: str | bytes, packed: bytes, timeout: float) -> Any:
        return self._ask(slot_of(key), packed, timeout)

    def answered(self) -> RedisConnection:
        assert self._last is not None
        return self._last

    def load(self, text: bytes, timeout: float) -> None:
        self.answered().call(b"SCRIPT", b"LOAD", text, timeout=timeout)

    def ask_many(self, asked: Sequence[tuple[str | bytes, bytes]], timeout: float) -> list[Any]:
        """Ask all nodes at once; what a node sends on to another is asked for there, one by one."""
        places = [self._slots.find(slot_of(key), self._opening, self._timeout) for key, _ in asked]
        shares: dict[Address, list[bytes]] = {}
        for address, (_, packed) in zip(places, asked, strict=True):
            shares.setdefault(address, []).append(packed)
        for address, share in shares.items():
            self._send(address, b"".join(share), timeout)
        answers = [self._receive(address, timeout) for address in places]
        for index, answer in enumerate(answers):
            if isinstance(answer, hiredis.ReplyError) and _code(answer) in ("MOVED", "ASK"):
                key, packed = asked[index]
                answers[index] = self._redirected(slot_of(key), packed, timeout, answer)
        return answers

    def call(self, *command: Argument, timeout: float = 5.0) -> Any:
        if command[0] in KEYLESS:
            address = self._slots.any(self._opening, self._timeout)
            self._send(address, pack(*command), timeout)
            answer = self._receive(address, timeout)
        else:
            answer = self._ask(slot_of(_key(command)), pack(*command), timeout)
        if isinstance(answer, hiredis.ReplyError):
            self._doubt(answer)
            raise ServerRefused(str(answer))
        return answer

    def call_many(self, commands: Sequence[tuple[Argument, ...]], timeout: float = 5.0) -> list[Any]:
        """See `RedisConnection.call_many`; a command without a key goes where the first one with a key goes."""
        keys = [None if command[0] in KEYLESS else _key(command) for command in commands]
        first = next((key for key in keys if key is not None), b"")
        asked = [(first if key is None else key, pack(*command)) for key, command in zip(keys, commands, strict=True)]
        answers = self.ask_many(asked, timeout)
        for answer in answers:
            if isinstance(answer, hiredis.ReplyError):
                self._doubt(answer)
                raise ServerRefused(str(answer))
        return answers

    def _ask(self, slot: int, packed: bytes, timeout: float) -> Any:
        address = self._slots.find(slot, self._opening, self._timeout)
        self._send(address, packed, timeout)
        answer = self._receive(address, timeout)
        if isinstance(answer, hiredis.ReplyError):
            return self._redirected(slot, packed, timeout, answer)
        return answer

    def _redirected(self, slot: int, packed: bytes, timeout: float, answer: Any) -> Any:
        """Go where a node says that the slot is (MOVED), or what of it has gone there already (ASK)."""
        for _ in range(MOST_REDIRECTS):
            code = _code(answer)
            if code == "MOVED":
                address = self._target(answer)
                self._slots.moved(slot, address)
                self._send(address, packed, timeout)
            elif code == "ASK":
                address = self._target(answer)
                self._send(address, _ASKING + packed, timeout)
                self._receive(address, timeout)
            else:
                break
            answer = self._receive(address, timeout)
            if not isinstance(answer, hiredis.ReplyError):
                return answer
        self._doubt(answer)
        return answer

    def _target(self, answer: Any) -> Address:
        """Return the address in ``MOVED 3999 127.0.0.1:6381``; an empty host is that of the node which says so."""
        host, _, port = str(answer).split(" ")[2].rpartition(":")
        if not host:
            host = next(address[0] for address, node in self._nodes.items() if node is self._last)
        return host.strip("[]"), int(port)

    def _doubt(self, answer: Any) -> None:
        if _code(answer) in DOUBTS:
            self._slots.doubt()

    def _node(self, address: Address) -> RedisConnection:
        connection = self._nodes.get(address)
        if connection is None:
            try:
                connection = self._nodes[address] = self._opening(address, self._timeout)
            except ConnectionBroken:
                self._slots.doubt()
                raise
        return connection

    def _send(self, address: Address, packed: bytes, timeout: float) -> None:
        connection = self._node(address)
        try:
            connection.send(packed, timeout)
        except ConnectionBroken:
            self._drop(address)
            raise

    def _receive(self, address: Address, timeout: float) -> Any:
        connection = self._nodes[address]
        try:
            answer = connection.receive(timeout)
        except ConnectionBroken:
            self._drop(address)
            raise
        self._last = connection
        return answer

    def _drop(self, address: Address) -> None:
        """Forget a connection that broke; its node may be gone."""
        self._nodes.pop(address).close()
        self._slots.doubt()

    # A cluster has several sockets

    def fileno(self) -> int:
        self._no_socket()

    def ready(self) -> bool:
        self._no_socket()

    def send(self, packed: bytes, timeout: float) -> None:
        self._no_socket()

    def receive(self, timeout: float) -> Any:
        self._no_socket()

    def _no_socket(self) -> NoReturn:
        raise TypeError("a cluster has a socket for each node: ask for one with at(key)")


def _key(command: tuple[Argument, ...]) -> str | bytes:
    key = command[1]
    return key if isinstance(key, (str, bytes)) else str(key)


def _code(answer: Any) -> str:
    return str(answer).partition(" ")[0]
