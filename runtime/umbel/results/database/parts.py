"""Records that are too large for one row: their bytes in rows of their own, and a short record that names them.

Parts are written first, then the record, and each outlives it by a little: who reads the record finds them. Each writing has parts
of its own, so nothing is read half old and half new; what was replaced goes with its time.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from umbel.record import PARTS, Record
from umbel.results.database.schema import Tables

#: Bytes of a record from which on it is kept in parts, and bytes of a part.
PART: Final = 4 * 1024 * 1024
#: Bytes that every server takes in one statement.
SMALL: Final = 16 * 1024
#: Bytes of a statement beside its data.
BESIDE: Final = 8 * 1024
#: Milliseconds by which parts outlive the record that names them.
LONGER: Final = 60_000
#: Parts that one statement deletes.
SWEEP: Final = 50
_PACKET: Final = "umbel_max_allowed_packet"


class Parts:
    """The parts of the records of one result backend.

    Args:
        tables: they are in.
        dialect: the kind of database.
    """

    def __init__(self, tables: Tables, dialect: str) -> None:
        self._table = tables.parts
        self._dialect = dialect

    def shorten(self, connection: Connection, record: Record, expires_ms: int) -> tuple[bytes, str]:
        """Return a record, encoded; or, where it is large, write it in parts, and return one that names them.

        Returns: the bytes, and the name of the parts, if there are any.
        """
        raw = record.encode()
        if len(raw) <= SMALL or len(raw) <= (limit := self._limit(connection)):
            return raw, ""
        name, starts = uuid.uuid4().hex, range(0, len(raw), limit)
        for number, start in enumerate(starts):
            row = {"name": name, "number": number, "expires_ms": expires_ms + LONGER}
            connection.execute(sa.insert(self._table).values(row | {"part": raw[start : start + limit]}))
        short = Record(record.state, b"", record.attempt, record.done_ms, {PARTS: [name, len(starts), len(raw)]})
        return short.encode(), name

    def read(self, connection: Connection, record: Record) -> bytes | None:
        """Return the bytes of the record that a short one stands for; None if some are gone."""
        name, count, length = record.meta[PARTS]
        there = self._table.c
        found = []
        for number in range(count):
            one = sa.select(there.part).where(there.name == name, there.number == number)
            part = connection.execute(one).scalar()
            if part is None:
                return None
            found.append(bytes(part))
        raw = b"".join(found)
        return raw if len(raw) == length else None

    def drop(self, connection: Connection, name: str) -> None:
        """Delete the parts that were written under a name, if that is one."""
        if name:
            connection.execute(sa.delete(self._table).where(self._table.c.name == name))

    def drop_too_old(self, connection: Connection, now_ms: int) -> bool:
        """Delete some parts whose time is over; tell whether there may be more."""
        there = self._table.c
        old = sa.select(there.name, there.number).where(there.expires_ms <= now_ms).limit(SWEEP)
        rows = connection.execute(old).all()
        if rows:
            named = sa.tuple_(there.name, there.number).in_([tuple(row) for row in rows])
            connection.execute(sa.delete(self._table).where(named))
        return len(rows) == SWEEP

    def _limit(self, connection: Connection) -> int:
        """Return the bytes that fit into one statement.

        MySQL refuses longer ones by hanging up. Drivers write bytes as text, which may double them. It is asked once a connection:
        after having been hung up on, say since the limit was lowered, the next one knows.
        """
        if self._dialect in ("postgresql", "sqlite"):
            return PART
        known: dict[Any, Any] = connection.info
        if _PACKET not in known:
            known[_PACKET] = int(connection.execute(sa.text("SELECT @@max_allowed_packet")).scalar() or 0)
        packet: int = known[_PACKET]
        return min(PART, max(SMALL, (packet - BESIDE) // 2))
