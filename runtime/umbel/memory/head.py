"""Changes to the head of an encoded message, byte for byte as the Lua scripts make them."""

from __future__ import annotations

import struct
from typing import Final

from umbel import message as messages
from umbel.errors import DecodeError
from umbel.ids import new_nonce
from umbel.message import DEFAULT_PRIORITY, GROUPED, HEAD_SIZE, MAX_PRIORITY

_FLAGS: Final = 1
_PRIORITY: Final = 2
_COUNTS: Final = struct.Struct(">HHHH")
_COUNTS_AT: Final = 3
_ENQUEUED: Final = struct.Struct(">Q")
_ENQUEUED_AT: Final = 11
_LENGTH_AT: Final = 27
_MOST: Final = 0xFFFF
#: Where the digest of a message's group stands.
_DIGEST: Final = slice(HEAD_SIZE + len('{"g":"'), HEAD_SIZE + len('{"g":"') + 16)


def stamp(payload: bytes, now_ms: int) -> bytes:
    """Return the message with its time of enqueuing set. What is too short to have a head is left as it is."""
    if len(payload) < HEAD_SIZE:
        return payload
    return payload[:_ENQUEUED_AT] + _ENQUEUED.pack(now_ms) + payload[_ENQUEUED_AT + _ENQUEUED.size :]


def raise_counts(payload: bytes, *, attempt: int = 0, lost: int = 0, suspect: int = 0, requeues: int = 0) -> bytes:
    """Return the message with its counts raised; each stops at 65,535."""
    if len(payload) < HEAD_SIZE:
        return payload
    old = _COUNTS.unpack_from(payload, _COUNTS_AT)
    new = (min(_MOST, a + b) for a, b in zip(old, (attempt, lost, suspect, requeues), strict=True))
    return payload[:_COUNTS_AT] + _COUNTS.pack(*new) + payload[_COUNTS_AT + _COUNTS.size :]


def renew(payload: bytes, now_ms: int) -> bytes:
    """Return the message as if it had never been delivered: its flags and counts zero (it stays in its group), a fresh nonce,
    enqueued now."""
    if len(payload) < HEAD_SIZE:
        return payload
    flags = bytes((payload[1] & GROUPED,))
    head = payload[:1] + flags + payload[2:3] + bytes(_COUNTS.size) + _ENQUEUED.pack(now_ms) + new_nonce()
    return head + payload[len(head) :]


def flags(payload: bytes) -> int:
    """Return the flags; none for what has no head."""
    return payload[_FLAGS] if len(payload) >= HEAD_SIZE else 0


def flag(payload: bytes, add: int, drop: int = 0) -> bytes:
    """Return the message with flags added and dropped."""
    if len(payload) < HEAD_SIZE:
        return payload
    return payload[:_FLAGS] + bytes([(payload[_FLAGS] | add) & ~drop]) + payload[_FLAGS + 1 :]


def age(payload: bytes) -> bytes:
    """Return time of enqueuing and nonce as they are, which sort by age."""
    return payload[_ENQUEUED_AT:_LENGTH_AT]


def priority(payload: bytes) -> int:
    """Return the priority, 0-9; the default one for what has no head."""
    return min(MAX_PRIORITY, payload[_PRIORITY]) if len(payload) >= HEAD_SIZE else DEFAULT_PRIORITY


def group(payload: bytes) -> bytes | None:
    """Return the digest of the group, None without one."""
    return payload[_DIGEST] if len(payload) >= _DIGEST.stop and payload[1] & GROUPED else None


def is_suspect(payload: bytes) -> bool:
    """Return whether the message was held by a process that died holding others too."""
    return len(payload) >= HEAD_SIZE and int(_COUNTS.unpack_from(payload, _COUNTS_AT)[2]) > 0


def enqueued_ms(payload: bytes) -> int:
    """Return the time of enqueuing, in milliseconds; 0 for what has no head."""
    return int(_ENQUEUED.unpack_from(payload, _ENQUEUED_AT)[0]) if len(payload) >= HEAD_SIZE else 0


def task_id(payload: bytes) -> str | None:
    """Return the id of the task, None for what cannot be read."""
    try:
        return str(messages.decode(payload).headers["id"])
    except DecodeError:
        return None
