"""A dispatcher in this process, on a clock that the test moves, against a real Redis."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.integration.beat.mounted import schedule
from tests.integration.beat.process import Seen
from tests.redis_server import RedisServer

from umbel.beat.definitions import Definitions
from umbel.beat.dispatcher import Dispatcher
from umbel.beat.entry import run_ids
from umbel.broker.redis import RedisBroker
from umbel.clock import ManualClock
from umbel.redis.endpoint import Endpoint
from umbel.redis.runs import record_run
from umbel.redis.schedules import ScheduleStore

#: Noon of a Monday.
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()


class Bench:
    """One Redis, one clock, and as many beats as a test wants."""

    def __init__(self, server: RedisServer, prefix: str) -> None:
        self.prefix = prefix
        self.clock = ManualClock(NOON)
        self.endpoint = Endpoint(server.url)
        self.store = ScheduleStore(self.endpoint, prefix)
        self.broker = RedisBroker(server.url, prefix=prefix)
        self.client = server.client()
        self.mail = Seen(self.client, prefix, "mail")

    def beat(self, *bodies: dict[str, Any], ttl: float = 5.0) -> Dispatcher:
        """Return a dispatcher with these schedules."""
        dispatcher = Dispatcher("config:test", self.store, self.broker, self.clock, ttl)
        self.define(dispatcher, *bodies)
        return dispatcher

    def define(self, dispatcher: Dispatcher, *bodies: dict[str, Any]) -> None:
        """Give a dispatcher these schedules."""
        definitions = Definitions()
        definitions.add({"schedules": list(bodies)})
        assert not definitions.errors, definitions.errors
        dispatcher.replace(definitions.schedules)

    def run(self, dispatcher: Dispatcher, seconds: float, step: float = 1.0) -> None:
        """Let the clock go on, with a tick after each step."""
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            dispatcher.tick()

    def slots(self, uid: str = "s1") -> list[int]:
        """Return the slots that were enqueued, in seconds after noon, in the order of the queue."""
        by_run = {run_ids(uid, int(NOON) + n).run: n for n in range(-200, 8000)}
        return [by_run[message.headers["run"]] for message in self.mail.of(uid) if message.headers["run"] in by_run]

    def end(self, message: Any, state: str = "SUCCESS") -> bool:
        """Tell the schedule that a run has ended, as a worker does."""
        connection = self.endpoint.connect(2)
        try:
            headers = message.headers
            return record_run(connection, self.prefix, headers["schedule"], headers["run"], state)
        finally:
            connection.close()

    def take(self) -> list[Any]:
        """Take all messages out of the queue, as workers do."""
        found = self.mail.messages()
        for priority in range(10):
            self.client.delete(f"{self.prefix}:{{mail}}:r:{priority}")
        return found

    def state(self, uid: str = "s1") -> dict[str, str]:
        """Return the fields of a schedule's state."""
        return self.store.load([uid])[uid].fields

    def close(self) -> None:
        self.store.close()
        self.broker.close()
        self.client.close()


__all__ = ["NOON", "Bench", "schedule"]
