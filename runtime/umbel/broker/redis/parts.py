"""Records that are too large for one value: their bytes in parts of their own, and a short record that names them.

Parts are written first, then the record, and each outlives it by a little: who reads the record finds them. They are in the same
slot. Each writing has parts of its own, so nothing is read half old and half new; what was replaced goes with its time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from umbel import record as records
from umbel.broker.base import Outcome
from umbel.errors import BackendError
from umbel.record import PARTS, Record
from umbel.redis import keys
from umbel.redis.connection import RedisConnection

#: Bytes of a record from which on it is kept in parts, and bytes of a part. Redis does nothing else while it takes in a value.
PART: Final = 4 * 1024 * 1024
#: Milliseconds by which parts outlive the record that names them.
LONGER: Final = 60_000
#: Seconds that Redis may take to answer for one part.
PATIENCE: Final = 10.0


def shorten(connection: RedisConnection, prefix: str, task_id: str, raw: bytes, ttl: float) -> bytes:
    """Return an encoded record as it is; or, where it is large, write its value in parts, and return one that names them."""
    if len(raw) <= PART:
        return raw
    record = records.decode(raw)
    value, nonce = memoryview(record.value), os.urandom(6).hex()
    numbers = range(0, len(value), PART)
    milliseconds = int(ttl * 1000)
    for number, start in enumerate(numbers):
        key, part = keys.result_part(prefix, task_id, nonce, number), bytes(value[start : start + PART])
        if milliseconds:
            connection.call(b"SET", key, part, b"PX", milliseconds + LONGER, timeout=PATIENCE)
        else:
            connection.call(b"SET", key, part, timeout=PATIENCE)
    record.value = b""
    record.meta = {**record.meta, PARTS: [nonce, len(numbers), len(value)]}
    return record.encode()


def shorten_ends(connection: RedisConnection, prefix: str, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """Return outcomes whose records are short enough, see `shorten`."""
    for outcome in outcomes:
        if outcome.record is not None and len(outcome.record) > PART:
            break
    else:
        return outcomes
    return [
        outcome
        if outcome.record is None
        else replace(outcome, record=shorten(connection, prefix, outcome.task_id, outcome.record, outcome.ttl))
        for outcome in outcomes
    ]


def is_short(record: Record | None) -> bool:
    """Tell whether the value of a record is in parts."""
    return record is not None and PARTS in record.meta


def names_of(prefix: str, task_id: str, record: Record) -> list[str]:
    """Return the keys of a record's parts."""
    nonce, count, _ = record.meta.get(PARTS, ("", 0, 0))
    return [keys.result_part(prefix, task_id, str(nonce), number) for number in range(int(count))]


def whole(run: Callable[[Callable[[RedisConnection], Any]], Any], prefix: str, task_id: str, record: Record) -> Record:
    """Return a record with its value, read part by part.

    Raises:
        BackendError: a part is gone.
    """
    if not is_short(record):
        return record
    found = []
    for key in names_of(prefix, task_id, record):
        found.append(run(partial(_get, key)))
    value = b"".join(part for part in found if part is not None)
    if len(value) != record.meta[PARTS][2]:
        raise BackendError(f"the result of task {task_id} is not whole: part of it was deleted, or is too old")
    meta = {name: said for name, said in record.meta.items() if name != PARTS}
    return Record(record.state, value, record.attempt, record.done_ms, meta)


def _get(key: str, connection: RedisConnection) -> Any:
    return connection.call(b"GET", key, timeout=PATIENCE)
