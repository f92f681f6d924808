"""Read from Redis what waits in the queues and which workers are busy, every second, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from umbel.broker.base import Broker, ConnectionLost, Liveness, QueueInfo
from umbel.errors import OperationalError
from umbel.transport import make_broker

#: Seconds between two looks.
PERIOD: Final = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """The children of one pod: how many there are, and how many run a task."""

    busy: int = 0
    slots: int = 0


@dataclass(frozen=True, slots=True)
class Numbers:
    """What one Broker's keys say."""

    queues: Mapping[str, QueueInfo] = field(default_factory=dict)
    #: By the pod's uid.
    loads: Mapping[str, Load] = field(default_factory=dict)
    error: str = ""


class Gauges:
    """See the module.

    url: of the Redis.
    wanted: returns the names of the queues to look at, by key prefix.
    """

    def __init__(self, url: str, wanted: Callable[[], Mapping[str, Sequence[str]]]) -> None:
        self._url = url
        self._wanted = wanted
        self._brokers: dict[str, tuple[Broker, Liveness]] = {}
        self._numbers: dict[str, Numbers] = {}

    def numbers(self, prefix: str) -> Numbers:
        """Return the last numbers of a key prefix."""
        return self._numbers.get(prefix, Numbers())

    async def check(self) -> str:
        """Return the version of the server.

        Raises `OperationalError` with what to do where it cannot be reached.
        """
        broker = make_broker(self._url, prefix="umbel", publish_timeout=2.0)
        try:
            server = await asyncio.to_thread(broker.ping)
        finally:
            broker.close()
        return f"{str(server.get('server') or 'redis').capitalize()} {server['version']}"

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD)

    async def look(self) -> None:
        """Look once."""
        wanted = {prefix: list(queues) for prefix, queues in self._wanted().items()}
        self._numbers = await asyncio.to_thread(self._read_all, wanted)

    def close(self) -> None:
        """Drop the connections."""
        for broker, liveness in self._brokers.values():
            liveness.close()
            broker.close()
        self._brokers.clear()

    def _read_all(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, Numbers]:
        found = {}
        for prefix, queues in wanted.items():
            try:
                found[prefix] = self._read(prefix, queues)
            except (OperationalError, ConnectionLost) as error:
                before = self._numbers.get(prefix, Numbers())
                found[prefix] = Numbers(before.queues, before.loads, str(error))
        return found

    def _read(self, prefix: str, queues: Sequence[str]) -> Numbers:
        if prefix not in self._brokers:
            broker = make_broker(self._url, prefix=prefix, publish_timeout=5.0)
            self._brokers[prefix] = (broker, broker.liveness())
        broker, liveness = self._brokers[prefix]
        infos = {name: broker.info(name) for name in queues}
        loads: dict[str, Load] = {}
        for owner in liveness.owners():
            load = loads.get(owner.pod_uid, Load())
            loads[owner.pod_uid] = Load(load.busy + owner.running, load.slots + owner.slots)
        return Numbers(infos, loads)
