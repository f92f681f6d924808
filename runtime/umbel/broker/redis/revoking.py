"""Which tasks are revoked, as Redis remembers it."""

from __future__ import annotations

from collections.abc import Sequence

from umbel.broker.base import REVOKED_FOR, REVOKED_MOST
from umbel.clock import full_milliseconds
from umbel.redis import keys, scripts
from umbel.redis.connection import RedisConnection

#: Ids of one call of the script, and of one command to the workers.
CHUNK = 1000


def chunks(task_ids: Sequence[str]) -> list[list[str]]:
    """Return the ids in lists that one command can carry; one empty list for none."""
    return [list(task_ids[start : start + CHUNK]) for start in range(0, max(1, len(task_ids)), CHUNK)]


def remember(connection: RedisConnection, prefix: str, task_ids: Sequence[str]) -> None:
    """Add ids. May be repeated."""
    for ids in chunks(task_ids):
        scripts.revoke(connection, (keys.revoked(prefix),), (int(REVOKED_FOR * 1000), REVOKED_MOST, *ids))


def read(connection: RedisConnection, prefix: str, since: float) -> dict[str, float]:
    """Return the ids that were revoked at ``since`` or later, with the server's time of it, the oldest first."""
    seconds, micros = connection.call(b"TIME")
    oldest = int(seconds) + int(micros) / 1e6 - REVOKED_FOR
    least = full_milliseconds(max(oldest, since))
    flat = connection.call(b"ZRANGEBYSCORE", keys.revoked(prefix), least, b"+inf", b"WITHSCORES")
    return {task.decode(): float(score) / 1000.0 for task, score in zip(flat[::2], flat[1::2], strict=True)}
