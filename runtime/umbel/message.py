"""The message on the wire: a fixed binary head that Lua may change, JSON headers, and the encoded arguments.

============ ===== ==============================================================
offset       bytes what
============ ===== ==============================================================
0            1     version of the layout, 1
1            1     flags
2            1     priority, 0-9, 9 is served first
3            2     attempt: raised by every bury and every retry
5            2     lost: deliveries that ended with the death of what ran it alone
7            2     suspect: deliveries that ended with the death of a process that held others too
9            2     requeues: handed back by a worker that drained; never punished
11           8     enqueued at, in milliseconds of Redis's clock (stamped by the publish script)
19           8     nonce of this publish
27           2     length of the headers
29                 headers (a JSON object), then the body
============ ===== ==============================================================

All numbers are big-endian. The Lua scripts know these offsets (plus one, as Lua counts): change both or neither.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson

from umbel.digests import blake2b
from umbel.errors import DecodeError, EncodeError
from umbel.ids import new_nonce

VERSION: Final = 1
#: Flag: it waits in the order of fairness between groups. The headers of such a message begin with ``"g"``, the digest of its
#: group, at a fixed place.
GROUPED: Final = 16
HEAD: Final = struct.Struct(">BBBHHHHQ8sH")
HEAD_SIZE: Final = HEAD.size
#: Flags. RESERVED: it has a slot of its rate limit. WOKEN: it was let out to take a free place, so others wait behind it.
#: LOCKED: it is a unique task's, whose lock is among the headers. REPLACEABLE: another one of the same key may take its place.
#: OVERDUE, UNFINISHED, BEGUN: it does not run again, its end is to be told: the supervisor killed what ran it, since its time
#: limit was over, or since its worker had to end; or what ran it is gone, and it may run at most once (``acks_late=False``).
#: PURGED, all three of them: its queue was purged, and those who wait for it are to be told.
OVERDUE: Final = 32
UNFINISHED: Final = 64
BEGUN: Final = 128
ENDED: Final = OVERDUE | UNFINISHED | BEGUN
PURGED: Final = ENDED
RESERVED: Final = 1
WOKEN: Final = 2
LOCKED: Final = 4
REPLACEABLE: Final = 8
_NONCE: Final = slice(19, 27)
DEFAULT_PRIORITY: Final = 5
MAX_PRIORITY: Final = 9
MAX_HEADERS: Final = 65535


@dataclass(slots=True)
class Message:
    """One task call on its way.

    ``headers`` holds at least ``id`` and ``task``. Others, all optional: ``retries``, ``expires`` (seconds after
    ``enqueued_ms``), ``timelimit`` ([hard, soft] seconds), ``reply_to`` (inbox of the waiting client), ``ignore_result``,
    ``root_id``, ``parent_id``, ``lock`` ([name, seconds, conflict], of a unique task), ``group`` (whose turn it is, see `GROUPED`),
    ``content_type``, ``schedule`` and ``run`` (of a scheduled run), ``headers`` (the user's own).
    """

    headers: dict[str, Any]
    body: bytes
    priority: int = DEFAULT_PRIORITY
    attempt: int = 0
    lost: int = 0
    suspect: int = 0
    requeues: int = 0
    enqueued_ms: int = 0
    flags: int = 0
    nonce: bytes = field(default_factory=new_nonce)

    def encode(self) -> bytes:
        """Return the bytes for the wire.

        Raises:
            EncodeError: the headers are too long for the head.
        """
        flags, named = self.flags, self.headers
        if "group" in named:
            flags |= GROUPED
            named = {"g": group_digest(named["group"])} | named
        headers = orjson.dumps(named)
        if len(headers) > MAX_HEADERS:
            raise EncodeError(
                f"the headers of a message may take {MAX_HEADERS} bytes, these take {len(headers)}: "
                "hand large data to the task as an argument"
            )
        head = HEAD.pack(
            VERSION,
            flags,
            self.priority,
            self.attempt,
            self.lost,
            self.suspect,
            self.requeues,
            self.enqueued_ms,
            self.nonce,
            len(headers),
        )
        return head + headers + self.body


@lru_cache(maxsize=65536)
def group_digest(group: str) -> str:
    """Return what stands for a group where Lua has to read it: 16 characters, whatever the name."""
    return blake2b(group.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def nonce_of(raw: bytes) -> bytes | None:
    """Return the nonce of an encoded message, None if it is too short to have one."""
    return raw[_NONCE] if len(raw) >= HEAD_SIZE else None


def decode(raw: bytes) -> Message:
    """Read a message.

    Raises:
        DecodeError: it is too short, of a newer version, or its headers are not a JSON object with ``id`` and ``task``.
    """
    if len(raw) < HEAD_SIZE:
        raise DecodeError(f"a message of {len(raw)} bytes is shorter than its head of {HEAD_SIZE}")
    version, flags, priority, attempt, lost, suspect, requeues, enqueued, nonce, length = HEAD.unpack_from(raw)
    if version != VERSION:
        raise DecodeError(f"a message of layout version {version}; this worker reads version {VERSION}: upgrade it")
    end = HEAD_SIZE + length
    try:
        headers = orjson.loads(raw[HEAD_SIZE:end])
        if type(headers["id"]) is not str or type(headers["task"]) is not str:
            raise TypeError(f"id and task must be text, not {headers['id']!r} and {headers['task']!r}")
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise DecodeError(f"the headers of a message cannot be read: {error}") from error
    return Message(headers, raw[end:], priority, attempt, lost, suspect, requeues, enqueued, flags, nonce)
