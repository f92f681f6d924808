"""The statements: each is one step, guarded where it writes, so that writers need no lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from umbel import states
from umbel.results.database.schema import Tables


class Statements:
    """The statements for one kind of database.

    Args:
        tables: they work on.
        dialect: the kind: ``postgresql``, ``sqlite``, ``mysql`` or ``mariadb``.
        prefix: of this app's rows.
    """

    def __init__(self, tables: Tables, dialect: str, prefix: str) -> None:
        self._table = tables.results
        self._dialect = dialect
        self._prefix = prefix

    def write(self, connection: Connection, row: dict[str, Any], now_ms: int, *, ended: bool) -> bool:
        """Write a row unless what stands there is later, or final; return whether it was written.

        Args:
            ended: it is the end of a delivery, which replaces another end of the same attempt.
        """
        row = {"prefix": self._prefix, **row}
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

    def read(self, task_ids: Sequence[str], now_ms: int, *, final: bool = False) -> Any:
        """Return the statement that reads id and record of tasks, of those that have ended only if asked."""
        there = self._table.c
        statement = sa.select(there.task_id, there.record).where(self._of(task_ids), there.expires_ms > now_ms)
        return statement.where(there.code >= states.FINAL_CODE) if final else statement

    def forget(self, task_ids: Sequence[str]) -> Any:
        """Return the statement that deletes rows."""
        return sa.delete(self._table).where(self._of(task_ids))

    def too_old(self, now_ms: int, limit: int) -> Any:
        """Return the statement that finds some rows, of all apps, whose time is over."""
        there = self._table.c
        return sa.select(there.prefix, there.task_id).where(there.expires_ms <= now_ms).limit(limit)

    def drop_too_old(self, rows: Sequence[Any], now_ms: int) -> Any:
        """Return the statement that deletes these rows, but for those that were written anew meanwhile."""
        there = self._table.c
        named = sa.tuple_(there.prefix, there.task_id).in_([tuple(row) for row in rows])
        return sa.delete(self._table).where(named, there.expires_ms <= now_ms)

    def _of(self, task_ids: Sequence[str]) -> Any:
        there = self._table.c
        return sa.and_(there.prefix == self._prefix, there.task_id.in_(list(task_ids)))
