"""The adapters under test: how each makes brokers and result backends, and what only a look behind the port can tell."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from typing import Any, Protocol, TypeVar

from tests.conformance.leaks import find_leaks

from umbel.broker.base import Broker
from umbel.broker.memory import MemoryBroker
from umbel.broker.memory.liveness import MemoryLiveness
from umbel.broker.redis import RedisBroker
from umbel.memory.store import drop_store, open_store
from umbel.redis import keys, scripts
from umbel.redis.endpoint import Endpoint
from umbel.results.base import Results
from umbel.results.database import DatabaseResults
from umbel.results.memory import MemoryResults
from umbel.results.redis import RedisResults
from umbel.storing import store_elsewhere


class Adapter(Protocol):
    """One kind of broker and result backend, with an empty store of its own."""

    def broker(self) -> Broker:
        """Return another broker on the same store."""

    def results(self) -> Results:
        """Return another result backend on the same store."""

    def urls(self) -> tuple[str, str]:
        """Return where an app finds the tasks, and where their results."""

    def begin_burial(self, owner: str) -> None:
        """Do the first step of a burial, as a reaper that dies right after it."""

    def empty(self) -> None:
        """Lose everything that is stored."""

    def close(self) -> None:
        """Close all that was made, and check that it left nothing behind."""


class MemoryAdapter:
    """The adapter for one process."""

    def __init__(self, prefix: str) -> None:
        self._url = "memory://conformance"
        self._prefix = prefix
        self._closing = ExitStack()

    def broker(self) -> Broker:
        return _closed_by(self._closing, MemoryBroker(self._url, prefix=self._prefix))

    def results(self) -> Results:
        return _closed_by(self._closing, MemoryResults(self._url, prefix=self._prefix))

    def urls(self) -> tuple[str, str]:
        return self._url, self._url

    def begin_burial(self, owner: str) -> None:
        liveness = self.broker().liveness()
        assert isinstance(liveness, MemoryLiveness)
        assert liveness.begin(owner)

    def empty(self) -> None:
        with open_store(self._url, self._prefix).locked() as store:
            store.clear()

    def close(self) -> None:
        self._closing.close()
        drop_store(self._url, self._prefix)


class DatabaseAdapter:
    """The results in a database, of tasks whose broker is in this process."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix
        self._closing = ExitStack()
        self._writing = self.results()

    def broker(self) -> Broker:
        inner = MemoryBroker("memory://conformance", prefix=self._prefix)
        return _closed_by(self._closing, store_elsewhere(inner, lambda: self._writing))

    def results(self) -> Results:
        return _closed_by(self._closing, DatabaseResults(self._url, prefix=self._prefix))

    def urls(self) -> tuple[str, str]:
        return "memory://conformance", self._url

    def begin_burial(self, owner: str) -> None:
        raise NotImplementedError("results only")

    def empty(self) -> None:
        raise NotImplementedError("results only")

    def close(self) -> None:
        self._closing.close()
        drop_store("memory://conformance", self._prefix)


class Server(Protocol):
    """One Redis, or several that belong together."""

    @property
    def url(self) -> str:
        """What an app is given."""

    def client(self) -> Any:
        """Return a client for looking from outside."""


class RedisAdapter:
    """The adapter for Redis."""

    def __init__(self, server: Server, prefix: str) -> None:
        self.server = server
        self._prefix = prefix
        self._closing = ExitStack()

    def broker(self) -> Broker:
        return _closed_by(self._closing, RedisBroker(self.server.url, prefix=self._prefix))

    def results(self) -> Results:
        return _closed_by(self._closing, RedisResults(self.server.url, prefix=self._prefix))

    def urls(self) -> tuple[str, str]:
        return self.server.url, self.server.url

    def size_of(self, queue: str, part: str) -> int:
        """Return how many members a sorted set of a queue has."""
        with self.server.client() as client:
            return int(client.zcard(f"{self._prefix}:{{{queue}}}:{part}"))

    def fields_of(self, queue: str) -> set[str]:
        """Return the fields of a queue's settings that are set."""
        with self.server.client() as client:
            return {name.decode() for name in client.hkeys(f"{self._prefix}:{{{queue}}}:meta")}

    def begin_burial(self, owner: str) -> None:
        connection = Endpoint(self.server.url).connect(5.0)
        names = (keys.beats(self._prefix), keys.dying(self._prefix), keys.registry(self._prefix, owner))
        assert scripts.bury_begin(connection, names, (owner, "")) == 1
        connection.close()

    def empty(self) -> None:
        with self.server.client() as client:
            for key in client.scan_iter(f"{self._prefix}:*", count=1000):
                client.delete(key)

    def close(self) -> None:
        with self.server.client() as client:
            leaks = find_leaks(client, self._prefix, self.broker())
        self._closing.close()
        self.empty()
        assert not leaks, f"left behind in Redis: {leaks}"


class ApartAdapter(RedisAdapter):
    """Results in a Redis that is not the broker: tasks and results share nothing but the server."""

    def broker(self) -> Broker:
        inner = RedisBroker(self.server.url, prefix=f"{self._prefix}:tasks")
        return _closed_by(self._closing, store_elsewhere(inner, self._writing))

    def urls(self) -> tuple[str, str]:
        return "memory://conformance", self.server.url

    @cache  # noqa: B019 - lives as long as a test
    def _writing(self) -> Results:
        return self.results()


Closable = TypeVar("Closable", Broker, Results)


def _closed_by(stack: ExitStack, made: Closable) -> Closable:
    stack.callback(made.close)
    return made
