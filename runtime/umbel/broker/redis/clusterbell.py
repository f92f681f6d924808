"""Waiting for work in a cluster: a connection may block in one slot only, so there is one for the bells of each slot.

As soon as one of them answers, the others are called back (``CLIENT UNBLOCK``), so that none takes a bell while this worker is
busy; a bell that was taken in that moment is put back for others.
"""

from __future__ import annotations

import select
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import hiredis

from umbel.broker.base import ConnectionLost
from umbel.broker.redis.bell import STANDBY_GRACE as GRACE
from umbel.redis import keys
from umbel.redis.connection import AWAY, ConnectionBroken, RedisConnection, ServerRefused, pack
from umbel.redis.endpoint import Endpoint
from umbel.redis.members import Address
from umbel.redis.slots import slot_of

CONNECT_TIMEOUT = 2.0


@dataclass(slots=True)
class _Wire:
    """A connection for the bells of one slot."""

    address: Address
    connection: RedisConnection
    client: int  #: its id at that node
    bells: dict[bytes, str] = field(default_factory=dict)  #: key -> queue, of the last question
    asked: bool = False


class ClusterBell:
    """See `umbel.broker.base.Bell`."""

    late = GRACE

    def __init__(self, endpoint: Endpoint, prefix: str) -> None:
        self._endpoint = endpoint
        self._prefix = prefix
        self._wires: dict[int, _Wire] = {}
        self._callers: dict[Address, RedisConnection] = {}  # that call back, by node
        self._poll: select.epoll | None = None
        self._timeout = 0.0

    def fileno(self) -> int:
        if self._poll is None:
            raise ConnectionLost("nothing was asked")
        return self._poll.fileno()

    def ask(self, queues: Sequence[str], timeout: float) -> None:
        self._timeout = timeout
        bells: dict[int, dict[bytes, str]] = {}
        for name in queues:
            key = keys.queue(self._prefix, name).bell
            bells.setdefault(slot_of(key), {})[key.encode()] = name
        try:
            for slot, own in bells.items():
                wire = self._wires.get(slot) or self._connect(slot, next(iter(own)).decode())
                wire.bells = own
                wire.connection.send(pack(b"BZPOPMIN", *own, f"{max(timeout, 0.001):.3f}"), GRACE)
                wire.asked = True
        except AWAY as error:
            raise self._lose(error) from error

    def answer(self) -> str | None:
        if self._poll is None:
            raise ConnectionLost("nothing was asked")
        try:
            heard = {number for number, _ in self._poll.poll(self._timeout + GRACE)}
            asked = [wire for wire in self._wires.values() if wire.asked]
            if not heard:
                raise ConnectionBroken("no answer from any bell", sent=True)
            rung = self._read(wire for wire in asked if wire.connection.fileno() in heard)
            rung += self._read(self._called_back([wire for wire in asked if wire.asked]))
            for wire, key in rung[1:]:
                self._caller(wire.address).call(b"ZADD", key, 0, b"1", timeout=GRACE)
        except AWAY as error:
            raise self._lose(error) from error
        if not rung:
            return None
        wire, key = rung[0]
        return wire.bells.get(key)

    def close(self) -> None:
        for connection in (*(wire.connection for wire in self._wires.values()), *self._callers.values()):
            connection.close()
        self._wires, self._callers = {}, {}
        if self._poll is not None:
            self._poll.close()
            self._poll = None

    def _connect(self, slot: int, key: str) -> _Wire:
        address = self._endpoint.find(key, CONNECT_TIMEOUT)
        connection = self._endpoint.connect_node(address, CONNECT_TIMEOUT)
        wire = self._wires[slot] = _Wire(address, connection, connection.call(b"CLIENT", b"ID", timeout=GRACE))
        if self._poll is None:
            self._poll = select.epoll()
        self._poll.register(connection.fileno(), select.EPOLLIN)
        return wire

    def _read(self, wires: Iterable[_Wire]) -> list[tuple[_Wire, bytes]]:
        """Read an answer from each; return those that rang, with the bells that they took."""
        rung = []
        for wire in wires:
            answer = wire.connection.receive(GRACE)
            wire.asked = False
            if isinstance(answer, hiredis.ReplyError):
                raise ServerRefused(str(answer))
            if answer is not None:
                rung.append((wire, answer[0]))
        return rung

    def _called_back(self, wires: Sequence[_Wire]) -> list[_Wire]:
        """Call back what still waits; return those that answer, each with nothing or with a bell of the last moment."""
        try:
            for wire in wires:
                self._caller(wire.address).call(b"CLIENT", b"UNBLOCK", wire.client, timeout=GRACE)
        except ServerRefused:
            # This user may not: cut the lines. A bell that is taken in this moment is lost; others look by themselves soon.
            for slot, wire in list(self._wires.items()):
                if wire.asked:
                    self._wires.pop(slot).connection.close()
            return []
        return list(wires)

    def _caller(self, address: Address) -> RedisConnection:
        caller = self._callers.get(address)
        if caller is None or caller.stale():
            caller = self._callers[address] = self._endpoint.connect_node(address, CONNECT_TIMEOUT)
        return caller

    def _lose(self, error: Exception) -> ConnectionLost:
        self.close()
        return ConnectionLost(str(error))
