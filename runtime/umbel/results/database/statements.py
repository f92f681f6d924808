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
#: What tells rows apart.
_KEY: Final = ("prefix", "task_id")
_COUNTED: Final = {"preserve_rowcount": True}


class Statements:
    """The statements for one kind of database, each put together once: that takes longer than running it.

    Args:
        tables: they work on.
        dialect: the kind: ``postgresql``, ``sqlite``, ``mysql`` or ``mariadb``.
        prefix: of this app's rows.
    """

    def __init__(self, tables: Tables, dialect: str, prefix: str) -> None:
        self._parts = Parts(tables, dialect)
        self._prefix = prefix
        self._table = tables.results
        there = self._table.c
        self._names = [column.name for column in self._table.columns]
        self._of = sa.and_(there.prefix == prefix, there.task_id.in_(sa.bindparam("ids", expanding=True)))
        fresh = there.expires_ms > sa.bindparam("now_ms")
        self._any = sa.select(there.task_id, there.record).where(self._of, fresh)
        self._final = self._any.where(there.code >= states.FINAL_CODE)
        self._inserts = sa.insert(self._table)
        self._in_one_step = dialect in ("postgresql", "sqlite")
        make = self._upsert if self._in_one_step else self._update
        self._writes = {ended: make(dialect, ended) for ended in (False, True)}

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
        statement = self._writes[ended]
        if self._in_one_step:
            return connection.execute(statement, row | {"now_ms": now_ms}, execution_options=_COUNTED).rowcount > 0
        try:
            connection.execute(self._inserts, row)
        except IntegrityError:
            named = {f"new_{name}": value for name, value in row.items()} | {"now_ms": now_ms}
            return bool(connection.execute(statement, named).rowcount)
        return True

    def _upsert(self, dialect: str, ended: bool) -> Any:
        made: Any = (postgresql if dialect == "postgresql" else sqlite).insert(self._table)
        values = {name: made.excluded[name] for name in self._names if name not in _KEY}
        made = made.values({name: sa.bindparam(name) for name in self._names})
        guard = self._guard(made.excluded.attempt, ended)
        return made.on_conflict_do_update(index_elements=list(_KEY), set_=values, where=guard)

    def _update(self, dialect: str, ended: bool) -> Any:
        there = self._table.c
        own = sa.and_(*(there[name] == sa.bindparam(f"new_{name}") for name in _KEY))
        values: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in self._names if name not in _KEY}
        attempt = sa.bindparam("new_attempt", type_=there.attempt.type)
        return sa.update(self._table).where(own, self._guard(attempt, ended)).values(values)

    def _guard(self, attempt: Any, ended: bool) -> Any:
        """Return the condition under which the row that stands there may be replaced by one of an attempt."""
        there = self._table.c
        free = there.attempt <= attempt
        if not ended:
            open_again = sa.or_(there.attempt < attempt, there.code < states.FINAL_CODE)
            free = sa.and_(free, open_again, there.code != states.CODES[states.SUCCESS])
        return sa.or_(free, there.expires_ms <= sa.bindparam("now_ms"))

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
        statement = self._final if final else self._any
        rows = connection.execute(statement, {"ids": list(task_ids), "now_ms": now_ms}).all()
        return {row.task_id: _decoded(row.record) for row in rows}

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
        connection.execute(sa.delete(self._table).where(self._of), {"ids": [task_id]})
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


def _decoded(raw: Any) -> Record:
    try:
        return records.decode(bytes(raw))
    except DecodeError as error:
        raise BackendError(str(error)) from error
