"""How long it takes until what a killed process held is back in its queues: watched in Redis, in a thread."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.redis_server import RedisServer

#: Seconds between two looks.
LOOK = 0.02


@dataclass
class Watch:
    """One death: ``who`` was killed, ``keys`` are where its owners held their messages."""

    kind: str
    who: str
    worker: str
    keys: list[str]
    since: float


@dataclass(frozen=True)
class Recovery:
    """One that ended. ``disturbed``: Redis was away meanwhile, so that the seconds count from its return."""

    kind: str
    who: str
    seconds: float
    disturbed: bool


class Recoveries:
    """See the module.

    Args:
        server: may go and come.
    """

    def __init__(self, server: RedisServer) -> None:
        self.done: list[Recovery] = []
        self.back = 0.0  #: when Redis was back for the last time
        self._server = server
        self._watches: list[Watch] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recoveries", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(10)

    def watch(self, kind: str, who: str, worker: str, keys: list[str]) -> None:
        """Begin to watch: who held these keys has just been killed."""
        with self._lock:
            self._watches.append(Watch(kind, who, worker, keys, time.monotonic()))

    def void(self, worker: str) -> None:
        """Forget the deaths in a worker: something else happened to it before they were dealt with."""
        with self._lock:
            self._watches = [watch for watch in self._watches if watch.worker != worker]

    def open(self) -> int:
        """Return how many are not over."""
        with self._lock:
            return len(self._watches)

    def _run(self) -> None:
        client = redis.Redis(port=self._server.port, socket_timeout=0.5, protocol=2, retry=Retry(NoBackoff(), 0))
        while not self._stopped.wait(LOOK):
            with self._lock:
                watches = list(self._watches)
            for watch in watches:
                try:
                    left = client.exists(*watch.keys)
                except redis.RedisError:
                    break
                if not left:
                    self._over(watch)
        client.close()

    def _over(self, watch: Watch) -> None:
        now = time.monotonic()
        with self._lock:
            if watch in self._watches:
                self._watches.remove(watch)
                seconds = now - max(watch.since, self.back)
                self.done.append(Recovery(watch.kind, watch.who, seconds, self.back > watch.since - 1.0))
