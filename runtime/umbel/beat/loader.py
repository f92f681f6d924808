"""Keeps beat in step with its directory: new schedules to the dispatcher, settings to the queues."""

from __future__ import annotations

import logging
from collections.abc import Callable

from umbel.beat.definitions import Definitions, LoadError
from umbel.beat.directory import Directory
from umbel.broker.base import Broker
from umbel.redis.schedules import ScheduleStore

log = logging.getLogger("umbel.beat")

#: Seconds between two looks at the directory, and at whether the queues still have their settings.
POLL_EVERY = 1.0


class Loader:
    """See the module. `look` belongs to one thread.

    Args:
        directory: of definitions.
        store, broker: Redis.
        loaded: is called with new definitions.
    """

    def __init__(
        self,
        directory: Directory,
        store: ScheduleStore,
        broker: Broker,
        loaded: Callable[[Definitions], None],
    ) -> None:
        self.directory = directory
        self._store = store
        self._broker = broker
        self._loaded = loaded
        self._in_use = directory.current

    @property
    def definitions(self) -> Definitions:
        """What is in use."""
        return self._in_use

    @property
    def newest(self) -> Definitions:
        """What was read last, and comes into use next unless it is."""
        return self.directory.current

    @property
    def errors(self) -> list[LoadError]:
        """What is not in use, and why."""
        problem = self.directory.problem
        return [*self.definitions.errors, *([problem] if problem is not None else [])]

    def look(self) -> float:
        """Take in what has changed; return how many seconds to wait.

        Raises:
            OperationalError: Redis is away; the schedules are loaded all the same.
        """
        problem = self.directory.problem
        new = self.directory.poll()
        if new is not None:
            for error in new.errors:
                log.error(
                    "config.entry_refused", extra={"kind": error.kind, "entry": error.name, "error": error.message}
                )
            counts = {"schedules": len(new.schedules), "queues": len(new.queues), "pools": len(new.pools)}
            log.info("config.loaded", extra={"serial": new.serial, **counts})
        elif self.directory.problem is not None and self.directory.problem != problem:
            log.warning("config.waiting", extra={"error": self.directory.problem.message})
        try:
            self._publish()
        finally:
            if new is not None:  # after that: a first slot is to find its queue as it was declared with it
                self._loaded(new)
                self._in_use = new
        return POLL_EVERY

    def _publish(self) -> None:
        """Write the settings of each queue that has older ones, or none since Redis was emptied."""
        definitions = self.newest
        names = [name for name, queue in definitions.queues.items() if not queue.purge]
        for name, serial in self._store.serials(names).items():
            if serial is None or serial < definitions.serial:
                self._broker.configure(
                    name, {**definitions.queues[name].settings, "purge": None}, definitions.serial
                )  # it may have been about to be deleted
                log.info("queue.configured", extra={"queue": name, "serial": definitions.serial})
