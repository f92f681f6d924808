"""Delete a queue with all its keys, in steps that each take little time, and may be repeated and taken up by another beat.

Each step names the TaskQueue (its uid) and the leader (its epoch): where the queue was given to another TaskQueue meanwhile, or
another beat leads, it does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

from umbel.errors import LayoutError, OperationalError
from umbel.redis import keys
from umbel.redis.aside import standing_aside
from umbel.redis.connection import Argument, ConnectionBroken, RedisConnection
from umbel.redis.endpoint import Endpoint
from umbel.redis.pool import Pool
from umbel.redis.scripts import Script

T = TypeVar("T")

#: Keys that one step looks at.
SCAN_COUNT: Final = 1000
#: Messages that one step puts aside.
ASIDE_COUNT: Final = 256
#: Milliseconds for which it is remembered that a queue was purged.
KEEP_MARK: Final = 7 * 86_400_000

_begin = Script("purge_begin")
_keys = Script("purge_keys")
_end = Script("purge_end")


class Step(Enum):
    """What a step came to."""

    DONE = "done"  #: the queue is gone
    ASIDE = "aside"  #: messages stand aside, see `Purges.aside`: those who wait for them are to be told
    WAITING = "waiting"  #: workers hold messages, and finish them
    MORE = "more"  #: there are more keys
    FENCED = "fenced"  #: another beat leads, or the queue belongs to another TaskQueue, or has later settings


@dataclass(slots=True)
class Purge:
    """A purge under way.

    Args:
        queue: its name.
        uid: of the TaskQueue.
        source, epoch: of the leader that purges.
        serial: of the definitions that want it: a queue with settings of later ones is left alone.
    """

    queue: str
    uid: str
    source: str
    epoch: int
    serial: int
    cursor: int = 0  #: of the search for keys
    found: int = 0  #: keys that were deleted


class Purges:
    """See the module. Thread-safe. All calls raise OperationalError when Redis cannot be reached in time.

    Args:
        endpoint: where Redis is.
        prefix: of all keys.
        deadline: seconds for one call, tries included.
    """

    def __init__(self, endpoint: Endpoint, prefix: str, deadline: float = 2.0) -> None:
        self._prefix = prefix
        self._pool = Pool(endpoint, deadline)

    def purged(self, queues: Sequence[str]) -> dict[str, str]:
        """Return queue -> uid of the TaskQueue, of those of these queues that were purged."""
        commands: list[tuple[Argument, ...]] = [(b"GET", keys.purged(self._prefix, queue)) for queue in queues]
        answers = self._run(lambda connection: connection.call_many(commands)) if commands else []
        return {queue: uid.decode() for queue, uid in zip(queues, answers, strict=True) if uid is not None}

    def step(self, purge: Purge) -> Step:
        """Do the next step.

        Raises:
            LayoutError: a newer Umbel works on this queue.
        """
        own = keys.queue(self._prefix, purge.queue)
        mark = keys.purged(self._prefix, purge.queue)
        waiting = (own.bell, own.eta, own.park, own.fair, own.clocks, own.dead, keys.deaths(self._prefix, purge.queue))
        names = (own.meta, mark, *waiting, own.inflight, own.dropped, *own.ready)
        arguments = (purge.uid, purge.source, purge.epoch, keys.LAYOUT, ASIDE_COUNT, purge.serial)
        status, number = self._run(lambda connection: _begin(connection, names, arguments))
        if status == b"layout":
            raise LayoutError(
                f"the keys of queue {purge.queue!r} have layout version {number}, this Umbel knows version {keys.LAYOUT}: "
                "a newer Umbel works on this Redis, upgrade beat"
            )
        if status in (b"stale", b"outdated"):
            return Step.FENCED
        if status == b"aside":
            return Step.ASIDE
        if status == b"held":
            return Step.WAITING
        return self._forget(purge) if status == b"purged" else self._sweep(purge)

    def aside(self, queue: str) -> list[tuple[int, bytes]]:
        """Return tag and payload of messages that stand aside."""
        name = keys.queue(self._prefix, queue).dropped
        return self._run(lambda connection: standing_aside(connection, name, ASIDE_COUNT))

    def _sweep(self, purge: Purge) -> Step:
        """Delete some of the keys that have no fixed name; the last of all keys when there are no others."""
        own = keys.queue(self._prefix, purge.queue)
        mark = keys.purged(self._prefix, purge.queue)
        pattern = _escaped(own.meta.removesuffix("meta")) + "*"
        fence = (purge.uid, purge.source, purge.epoch)

        def scan(connection: RedisConnection) -> tuple[int, list[str]]:
            node = connection.at(own.meta)
            cursor, names = node.call(b"SCAN", purge.cursor, b"MATCH", pattern, b"COUNT", SCAN_COUNT)
            return int(cursor), [name.decode() for name in names]

        cursor, names = self._run(scan)
        doomed = [name for name in names if name not in (own.meta, own.bell, own.inflight, mark)]
        doomed = self._without_owners(purge.queue, doomed)
        if doomed:
            gone = int(self._run(lambda connection: _keys(connection, (own.meta, *doomed), fence)))
            if gone < 0:
                return Step.FENCED
            purge.found += gone
        purge.cursor = cursor
        if cursor:
            return Step.MORE
        last = (own.meta, mark, own.bell, own.inflight)
        ended = int(self._run(lambda connection: _end(connection, last, (*fence, KEEP_MARK))))
        if ended < 0:
            return Step.FENCED
        return self._forget(purge) if ended else Step.WAITING

    def _without_owners(self, queue: str, names: list[str]) -> list[str]:
        """Leave out what living workers, and dead ones that are not buried, hold: these go with their worker."""
        start = keys.owned(self._prefix, queue, "")
        owners = {name: name.removeprefix(start) for name in names if name.startswith(start)}
        owners = {name: owner for name, owner in owners.items() if owner != keys.DROPPED}
        if not owners:
            return names
        commands: list[tuple[Argument, ...]] = []
        for owner in owners.values():
            commands += (
                (b"ZSCORE", keys.beats(self._prefix), owner),
                (b"SISMEMBER", keys.dying(self._prefix), owner),
            )
        answers = self._run(lambda connection: connection.call_many(commands))
        known = {
            name for number, name in enumerate(owners) if answers[2 * number] is not None or answers[2 * number + 1]
        }
        return [name for name in names if name not in known]

    def _forget(self, purge: Purge) -> Step:
        self._run(lambda connection: connection.call(b"SREM", keys.queue_names(self._prefix), purge.queue))
        return Step.DONE

    def close(self) -> None:
        """Drop the connections."""
        self._pool.close()

    def _run(self, work: Callable[[RedisConnection], T]) -> T:
        try:
            return self._pool.run(work, repeat=True)
        except ConnectionBroken as error:
            raise OperationalError(f"the connection to Redis broke: {error}") from error


def _escaped(text: str) -> str:
    """Return a text as a pattern of Redis that matches it alone."""
    return re.sub(r"([*?\[\]\\^])", r"\\\1", text)
