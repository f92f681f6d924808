"""What stands aside in the place of an owner, until those who wait for it are told: see keys.DROPPED and keys.ENDED."""

from __future__ import annotations

from umbel.redis.connection import RedisConnection


def standing_aside(connection: RedisConnection, name: str, most: int) -> list[tuple[int, bytes]]:
    """Return tag and message of about so many of those that stand aside; none only where there is none.

    Args:
        connection: to Redis.
        name: of the hash.
        most: messages that are enough.
    """
    found: list[tuple[int, bytes]] = []
    cursor = b"0"
    while True:
        # One step may find nothing, though something is there: in a hash that was larger before.
        cursor, flat = connection.call(b"HSCAN", name, cursor, b"COUNT", most)
        found += [(int(tag), message) for tag, message in zip(flat[::2], flat[1::2], strict=True) if tag != b"@"]
        if cursor == b"0" or len(found) >= most:
            return found
