"""The second and third step of a burial, which a reaper takes for others and a leaving owner for itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from umbel.broker.base import Charge
from umbel.redis import keys, scripts
from umbel.redis.connection import RedisConnection

#: Messages that one call of the burial's second step moves at most, so that no script holds Redis for long.
CHUNK = 500


def bury_all(
    connection: RedisConnection,
    prefix: str,
    owner: str,
    queues: Iterable[str],
    charge: Charge = Charge.NONE,
    guilty: int | None = None,
    suspects: Sequence[int] = (),
) -> int:
    """Run the second and third step of a burial: fence and empty each queue's share, then forget the owner.

    Returns: how many messages went back. A process that dies in here leaves the owner in ``dying``, for any reaper to go on.
    """
    moved = 0
    for name in queues:
        queue = keys.queue(prefix, name)
        names = (
            keys.owned(prefix, name, owner),
            queue.bell,
            queue.inflight,
            queue.meta,
            *queue.ready,
            queue.fair,
            queue.clocks,
            queue.hold,
            queue.park,
        )
        left = 1
        while left:
            step, left = scripts.bury(
                connection, names, (CHUNK, charge.value, "" if guilty is None else guilty, owner, *suspects)
            )
            moved += step
    scripts.bury_end(connection, (keys.dying(prefix), keys.registry(prefix, owner), keys.beats(prefix)), (owner,))
    return moved
