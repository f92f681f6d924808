"""The record of a task's state as a result backend stores it: a fixed binary head, JSON meta data, the encoded value.

============ ===== ============================================================
offset       bytes what
============ ===== ============================================================
0            1     version of the layout, 1
1            1     code of the state (``states.CODES``), 0 for a custom one
2            2     attempt that wrote it; a lower one never replaces it
4            8     time of writing, in milliseconds since the Unix epoch
12           4     length of the meta data
16                 meta data (a JSON object or nothing), then the value
============ ===== ============================================================

The value is what the task returned, or for an exception state ``{"type", "message", "args"}``, in the codec that the
meta data name (JSON unless said). The store script reads the first four bytes: change both or neither.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from umbel import states
from umbel.errors import DecodeError

VERSION: Final = 1
HEAD: Final = struct.Struct(">BBHQI")
#: In the meta data of a record that is too large for one piece: where its bytes are, as its backend has it.
PARTS: Final = "parts"


@dataclass(slots=True)
class Record:
    """The stored state of one task.

    ``meta`` may hold ``state`` (the name of a custom state), ``traceback`` (text), ``worker``, ``content_type``, and what
    ``result_extended`` adds (``name``, ``args``, ``kwargs``, ``queue``, ``retries``).
    """

    state: str
    value: bytes
    attempt: int = 0
    done_ms: int = 0
    meta: dict[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the bytes to store."""
        code = states.CODES.get(self.state, 0)
        meta = self.meta if code else {**self.meta, "state": self.state}
        packed = orjson.dumps(meta) if meta else b""
        return HEAD.pack(VERSION, code, self.attempt, self.done_ms, len(packed)) + packed + self.value


def decode(raw: bytes) -> Record:
    """Read a record.

    Raises:
        DecodeError: it is cut short, of a newer version, or its meta data are not JSON.
    """
    if len(raw) < HEAD.size:
        raise DecodeError(f"a result record of {len(raw)} bytes is shorter than its head of {HEAD.size}")
    version, code, attempt, done_ms, length = HEAD.unpack_from(raw)
    if version != VERSION:
        raise DecodeError(
            f"a result record of layout version {version}; this library reads version {VERSION}: upgrade it"
        )
    end = HEAD.size + length
    try:
        meta = orjson.loads(raw[HEAD.size : end]) if length else {}
        state = states.NAMES[code] if code else str(meta.pop("state"))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise DecodeError(f"the meta data of a result record cannot be read: {error!r}") from error
    return Record(state, raw[end:], attempt, done_ms, meta)
