"""The ends of scheduled runs, as workers write them to the schedule."""

from __future__ import annotations

from collections.abc import Iterable

from umbel.redis import keys
from umbel.redis.connection import RedisConnection
from umbel.redis.scripts import Script

#: Seconds that the state of a schedule outlives its last run at the least.
KEEP_STATE = 7 * 86400.0

_record = Script("schedule_record")


def record_run(connection: RedisConnection, prefix: str, uid: str, run_id: str, state: str) -> bool:
    """Write the end of a scheduled run to its schedule, before its message is acknowledged.

    Args:
        connection: to Redis.
        prefix: of all keys.
        uid: the schedule's, from the header ``schedule``.
        run_id: from the header ``run``.
        state: the final state, such as SUCCESS, FAILURE, REVOKED, REJECTED or IGNORED; a dead letter is a FAILURE.

    Returns: False if an end stands there already: a run may be delivered twice, its first end counts.

    Raises:
        ServerRefused, ConnectionBroken: see `RedisConnection.call`; to be repeated before the acknowledgement.
    """
    names = keys.schedule(prefix, uid)
    return bool(_record(connection, names, (run_id, state, int(KEEP_STATE * 1000))) == 1)


def record_runs(connection: RedisConnection, prefix: str, runs: Iterable[tuple[str, str, str]]) -> None:
    """Write the ends of several runs, each (schedule uid, run id, final state); see `record_run`."""
    for uid, run_id, state in runs:
        record_run(connection, prefix, uid, run_id, state)
