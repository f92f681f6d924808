"""The statements: each is one step, guarded where it writes, so that writers need no lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from umbel import record as records
from umbel import states
from umbel.errors import BackendError, DecodeError
from umbel.record import PARTS, Record
from umbel.results.database.parts import Parts
from umbel.results.database.schema import Tables

#: Rows that one clean-up statement deletes.
SWEEP: Final = 1000


class Statements:
    """The statements for one kind of database.

    Args:
        tables: they work on.
        dialect: the kind: ``postgresql``, ``sqlite``, ``mysql`` or ``mariadb``.
        prefix: of this app's rows.
    """

    def __init__(self, tables: Tables, dialect: str, prefix: str) -> None:
        self._parts = Parts(tables, dialect)
        self._table = tables.results
        self._dialect = dialect
        self._prefix = prefix

    def write(self, connection: Connection, row: dict[str, Any], record: Record, now_ms: int, *, ended: bool) -> bool:
        """Write a row unless what stands there is later, or final; return whether it was written.

        Args:
            connection: to write on.
            row: without the record.
            record: in as many parts as it takes.
            now_ms: the time.
            ended: it is the end of a delivery, which replaces another end of the same attempt.
        """
        raw, parts = self._parts.shorten(connection, record, row["expires_ms"])
        written = self._write({"prefix": self._prefix, **row, "record": raw}, connection, now_ms, ended)
        if not written:
            self._parts.drop(connection, parts)
        return written

    def _write(self, row: dict[str, Any], connection: Connection, now_ms: int, ended: bool) -> bool:
        guard = self._guard(row, now_ms, ended)
        values = {name: value for name, value in row.items() if name not in ("prefix", "task_id")}
        if self._dialect in ("postgresql", "sqlite"):
            made: Any = (postgresql if self._dialect == "postgresql" else sqlite).insert(self._table).values(row)
            statement = made.on_conflict_do_update(index_elements=["prefix", "task_id"], set_=values, where=guard)
            return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount > 0
        try:
            connection.execute(sa.insert(self._table).values(row))
        except IntegrityError:
            own = self._of([row["task_id"]])
            return bool(connection.execute(sa.update(self._table).where(own, guard).values(values)).rowcount)
        return True

    def _guard(self, row: dict[str, Any], now_ms: int, ended: bool) -> Any:
        """Return the condition under which the row that stands there may be replaced."""
        there = self._table.c
        if ended:
            free = there.attempt <= row["attempt"]
        else:
            open_again = sa.or_(there.attempt < row["attempt"], there.code < states.FINAL_CODE)
            free = sa.and_(there.attempt <= row["attempt"], open_again, there.code != states.CODES[states.SUCCESS])
        return sa.or_(free, there.expires_ms <= now_ms)

    def read(
        self, connection: Connection, task_ids: Sequence[str], now_ms: int, *, final: bool = False
    ) -> dict[str, Record]:
        """Return the records of tasks, of those that have ended only if asked.

        Raises:
            BackendError: one cannot be read.
        """
        found = self._read(connection, task_ids, now_ms, final)
        for task_id in [task_id for task_id, record in found.items() if PARTS in record.meta]:
            whole = self._whole(connection, task_id, found.pop(task_id), now_ms)
            if whole is not None:
                found[task_id] = whole
        return found

    def _read(
        self, connection: Connection, task_ids: Sequence[str], now_ms: int, final: bool = False
    ) -> dict[str, Record]:
        there = self._table.c
        statement = sa.select(there.task_id, there.record).where(self._of(task_ids), there.expires_ms > now_ms)
        if final:
            statement = statement.where(there.code >= states.FINAL_CODE)
        return {row.task_id: _decoded(row.record) for row in connection.execute(statement).all()}

    def _whole(self, connection: Connection, task_id: str, short: Record, now_ms: int) -> Record | None:
        """Return the record for which a short one stands; None if it was forgotten meanwhile."""
        while (raw := self._parts.read(connection, short)) is None:
            again = self._read(connection, [task_id], now_ms).get(task_id)
            if again is None or PARTS not in again.meta:
                return again
            if again.meta == short.meta:
                raise BackendError(f"the result of task {task_id} is not whole: part of it was deleted, or is too old")
            short = again
        return _decoded(raw)

    def forget(self, connection: Connection, task_id: str) -> None:
        """Delete a record: first what names its parts, so that nobody misses them."""
        try:
            stored = self._read(connection, [task_id], 0).get(task_id)
        except BackendError:
            stored = None  # what nobody can read can be forgotten
        connection.execute(sa.delete(self._table).where(self._of([task_id])))
        if stored is not None:
            self._parts.drop(connection, stored.meta.get(PARTS, [""])[0])

    def drop_too_old(self, connection: Connection, now_ms: int) -> tuple[int, bool]:
        """Delete some records of all apps whose time is over, but for those that are written anew meanwhile.

        Returns: how many, and whether there may be more.
        """
        there, count = self._table.c, 0
        old = sa.select(there.prefix, there.task_id).where(there.expires_ms <= now_ms).limit(SWEEP)
        rows = connection.execute(old).all()
        if rows:
            named = sa.tuple_(there.prefix, there.task_id).in_([tuple(row) for row in rows])
            count = connection.execute(sa.delete(self._table).where(named, there.expires_ms <= now_ms)).rowcount
        more = self._parts.drop_too_old(connection, now_ms)
        return count, more or len(rows) == SWEEP

    def _of(self, task_ids: Sequence[str]) -> Any:
        there = self._table.c
        return sa.and_(there.prefix == self._prefix, there.task_id.in_(list(task_ids)))


def _decoded(raw: Any) -> Record:
    try:
        return records.decode(bytes(raw))
    except DecodeError as error:
        raise BackendError(str(error)) from error
