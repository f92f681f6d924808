"""Who died with which message, on Redis: a short list a queue, written before a burial that charges, read for a dead letter.

A note is the length of a JSON object, the object, and the nonces of the messages that were charged, eight bytes each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

import orjson

from umbel import message as messages
from umbel.broker.base import Death
from umbel.redis import keys, scripts
from umbel.redis.connection import RedisConnection

#: Notes that a queue keeps, and for how many seconds after the last one.
MOST: Final = 500
KEEP: Final = 7 * 86400.0
#: Messages of one note at the most: a crowd that died together.
CROWD: Final = 1000
_LENGTH: Final = struct.Struct(">I")


def note(connection: RedisConnection, prefix: str, queue: str, death: Death, payloads: Iterable[bytes]) -> None:
    """Note a death with the messages of one queue that were charged for it."""
    nonces = [nonce for nonce in map(messages.nonce_of, payloads) if nonce is not None]
    if not nonces:
        return
    told = orjson.dumps(death.as_dict())
    packed = _LENGTH.pack(len(told)) + told + b"".join(nonces[:CROWD])
    scripts.note_death(connection, (keys.deaths(prefix, queue),), (packed, MOST, int(KEEP * 1000)))


def of(connection: RedisConnection, prefix: str, queue: str, payload: bytes) -> list[Death]:
    """Return the deaths that a message was charged for, the oldest first."""
    nonce = messages.nonce_of(payload)
    found: dict[str, Death] = {}
    for raw in connection.call(b"LRANGE", keys.deaths(prefix, queue), 0, -1):
        (length,) = _LENGTH.unpack_from(raw)
        end = _LENGTH.size + length
        if nonce is not None and any(raw[at : at + len(nonce)] == nonce for at in range(end, len(raw), len(nonce))):
            death = Death.from_dict(orjson.loads(raw[_LENGTH.size : end]))
            found[death.owner] = death  # one that was noted twice counts once
    return list(found.values())
