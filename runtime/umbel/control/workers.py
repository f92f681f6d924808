"""Which workers are registered with the broker, by their heartbeats: also those that do not answer."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from umbel.broker.base import Broker, ConnectionLost, OwnerInfo
from umbel.errors import ImproperlyConfigured, OperationalError

#: Seconds without a heartbeat after which a worker is shown as silent; it beats every 2.
SILENT_AFTER: Final = 8.0
MATCHERS: Final = ("glob", "pcre")


@dataclass(slots=True)
class WorkerInfo:
    """One worker: a supervisor with its children.

    Args:
        name: as ``--hostname`` gave it.
        id: of the supervisor.
        owners: its children, as the registry knows them.
        age: seconds since the latest heartbeat, by the broker's clock.
    """

    name: str
    id: str
    owners: list[OwnerInfo] = field(default_factory=list)
    age: float = 0.0

    @property
    def state(self) -> str:
        """``running``, ``draining``, or ``silent`` when it has not beaten for long."""
        if self.age > SILENT_AFTER:
            return "silent"
        return "draining" if any(owner.state == "draining" for owner in self.owners) else "running"

    @property
    def queues(self) -> list[str]:
        """The queues that it consumes."""
        return sorted({queue for owner in self.owners for queue in owner.queues})

    @property
    def busy(self) -> int:
        """How many children run a task."""
        return sum(owner.running for owner in self.owners)


def registered(broker: Broker, names: Collection[str] | None = None) -> list[WorkerInfo]:
    """Return the workers that are registered, by name.

    Args:
        broker: where they are.
        names: of the workers to return; all unless given.

    Raises:
        OperationalError: the broker cannot be reached.
    """
    liveness = broker.liveness()
    try:
        # Both by the broker's clock: the one of this machine may be hours away from it.
        owners = liveness.owners()
        now = broker.time()
    except ConnectionLost as error:
        raise OperationalError(str(error)) from error
    finally:
        liveness.close()
    found: dict[str, WorkerInfo] = {}
    for owner in owners:
        name = owner.hostname or owner.worker or owner.id
        if names is None or name in names:
            worker = found.setdefault(owner.worker or owner.id, WorkerInfo(name, owner.worker or owner.id, age=1e9))
            worker.owners.append(owner)
            worker.age = min(worker.age, max(0.0, now - owner.last_beat))
    return _told_apart(sorted(found.values(), key=lambda worker: (worker.name, worker.id)))


def matching(names: Iterable[str], pattern: str, matcher: str = "glob") -> list[str]:
    """Return the names that a pattern describes. Pure.

    Args:
        names: of workers.
        pattern: ``mail@*`` for ``glob``, a regular expression for ``pcre``.
        matcher: which of the two.

    Raises:
        ImproperlyConfigured: an unknown matcher, or a pattern that is no regular expression.
    """
    if matcher not in MATCHERS:
        raise ImproperlyConfigured(f"there is no matcher {matcher!r}: use 'glob' (mail@*) or 'pcre' (mail@.+)")
    if matcher == "glob":
        return [name for name in names if fnmatchcase(name, pattern)]
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ImproperlyConfigured(f"the pattern {pattern!r} is no regular expression: {error}") from error
    return [name for name in names if expression.match(name)]


def _told_apart(workers: list[WorkerInfo]) -> list[WorkerInfo]:
    """Give workers of the same name different ones."""
    names = [worker.name for worker in workers]
    for worker in workers:
        if names.count(worker.name) > 1:
            worker.name = f"{worker.name} ({worker.id})"
    return workers
