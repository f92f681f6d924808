"""The tables, and the steps by which they came to be what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.schema import CreateIndex, CreateTable

from umbel.errors import LayoutError

#: Longest task id, and longest key prefix.
LONGEST_ID: Final = 255
LONGEST_PREFIX: Final = 100
_BYTES: Final = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql").with_variant(mysql.LONGBLOB(), "mariadb")
#: Ids are compared byte by byte, also where text is usually compared without regard to case.
_ID: Final = sa.String(LONGEST_ID).with_variant(
    mysql.VARCHAR(LONGEST_ID, charset="utf8mb4", collation="utf8mb4_bin"), "mysql"
)
_PREFIX: Final = sa.String(LONGEST_PREFIX).with_variant(
    mysql.VARCHAR(LONGEST_PREFIX, charset="utf8mb4", collation="utf8mb4_bin"), "mysql"
)


class Tables:
    """The tables of one result backend.

    Args:
        name: of the table of results; the others are named after it.
        schema: of the database in which they are, None for the usual one.
    """

    def __init__(self, name: str = "umbel_results", schema: str | None = None) -> None:
        self.metadata = sa.MetaData(schema=schema)
        self.results = sa.Table(
            name,
            self.metadata,
            sa.Column("prefix", _PREFIX, primary_key=True),
            sa.Column("task_id", _ID, primary_key=True),
            sa.Column("status", sa.String(100), nullable=False),
            sa.Column("code", sa.SmallInteger, nullable=False),
            sa.Column("attempt", sa.Integer, nullable=False),
            sa.Column("done_ms", sa.BigInteger, nullable=False),
            sa.Column("expires_ms", sa.BigInteger, nullable=False),
            sa.Column("task", sa.String(255)),
            sa.Column("worker", sa.String(255)),
            sa.Column("record", _BYTES, nullable=False),
        )
        self.expiry = sa.Index(f"{name}_expires_ms", self.results.c.expires_ms)
        self.parts = sa.Table(
            f"{name}_parts",
            self.metadata,
            sa.Column("name", sa.String(32), primary_key=True),
            sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("expires_ms", sa.BigInteger, nullable=False),
            sa.Column("part", _BYTES, nullable=False),
        )
        self.parts_expiry = sa.Index(f"{name}_parts_expires_ms", self.parts.c.expires_ms)
        self.versions = sa.Table(
            f"{name}_version",
            self.metadata,
            sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
            sa.Column("version", sa.Integer, nullable=False),
        )


def _first(connection: Connection, tables: Tables) -> None:
    connection.execute(CreateTable(tables.results, if_not_exists=True))


def _find_what_is_too_old(connection: Connection, tables: Tables) -> None:
    _make_index(connection, tables.results, tables.expiry)


def _have_parts(connection: Connection, tables: Tables) -> None:
    connection.execute(CreateTable(tables.parts, if_not_exists=True))
    _make_index(connection, tables.parts, tables.parts_expiry)


def _make_index(connection: Connection, table: sa.Table, wanted: sa.Index) -> None:
    there = sa.inspect(connection).get_indexes(table.name, table.schema)
    if all(index["name"] != wanted.name for index in there):
        connection.execute(CreateIndex(wanted))


#: What leads from each version to the next. Never changed, only added to.
STEPS: Final[tuple[Callable[[Connection, Tables], None], ...]] = (_first, _find_what_is_too_old, _have_parts)


def version_of(connection: Connection, tables: Tables) -> int:
    """Return how many steps the tables have taken, 0 where there are none."""
    look = sa.inspect(connection)
    for table in (tables.versions, tables.results):  # somebody may have dropped the one and left the other
        if not look.has_table(table.name, tables.metadata.schema):
            return 0
    found = connection.execute(sa.select(tables.versions.c.version)).scalar()
    return 0 if found is None else int(found)


def check(version: int, tables: Tables) -> None:
    """Refuse tables of a newer release.

    Raises:
        LayoutError: they are.
    """
    if version > len(STEPS):
        raise LayoutError(
            f"the table {tables.results.name} is of version {version}, made by a newer Umbel; this one knows version {len(STEPS)}: "
            "upgrade it"
        )


def check_complete(version: int, tables: Tables) -> None:
    """Refuse tables on which this release cannot work.

    Raises:
        LayoutError: they are of another release, or not there.
    """
    check(version, tables)
    if version < len(STEPS):
        raise LayoutError(
            f"the table {tables.results.name} is of version {version}, and version {len(STEPS)} is needed: set "
            "database_create_tables_at_setup to true, or call app.results.migrate() once, as a user who may change tables"
        )


def migrate(engine: Engine, tables: Tables) -> int:
    """Take the steps that the tables have not taken yet; return how many were taken. Safe with many processes at once.

    Raises:
        LayoutError: the tables are of a newer release.
    """
    with engine.connect() as connection:
        version = version_of(connection, tables)
        check(version, tables)
        if version == len(STEPS):
            return 0
    with _alone(engine, tables) as connection:
        # Looked at again: another process may have been at it until now.
        if not sa.inspect(connection).has_table(tables.versions.name, tables.metadata.schema):
            connection.execute(CreateTable(tables.versions))
        version = version_of(connection, tables)
        check(version, tables)
        for number in range(version, len(STEPS)):
            STEPS[number](connection, tables)
            # After each step, since MySQL commits each by itself: who goes on after a crash goes on here.
            _note(connection, tables, number + 1)
        return len(STEPS) - version


def _note(connection: Connection, tables: Tables, version: int) -> None:
    changed = connection.execute(sa.update(tables.versions).where(tables.versions.c.id == 1).values(version=version))
    if not changed.rowcount:
        connection.execute(sa.insert(tables.versions).values(id=1, version=version))


def _alone(engine: Engine, tables: Tables) -> AbstractContextManager[Connection]:
    return {"postgresql": _alone_in_postgresql, "sqlite": _alone_in_sqlite}.get(engine.dialect.name, _alone_in_mysql)(
        engine, tables
    )


@contextmanager
def _alone_in_postgresql(engine: Engine, tables: Tables) -> Iterator[Connection]:
    """All steps in one transaction, one process at a time."""
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection, connection.begin():
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": tables.results.fullname})
        yield connection


@contextmanager
def _alone_in_sqlite(engine: Engine, tables: Tables) -> Iterator[Connection]:
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


@contextmanager
def _alone_in_mysql(engine: Engine, tables: Tables) -> Iterator[Connection]:
    """MySQL has no transactions over tables being made: a lock by name, which ends with its connection."""
    with engine.connect() as connection:
        name = {"name": f"umbel.{tables.results.fullname}"[:64]}
        if connection.execute(sa.text("SELECT GET_LOCK(:name, 60)"), name).scalar() != 1:
            raise LayoutError(
                f"another process has been changing the table {tables.results.name} for a minute: try again"
            )
        try:
            yield connection
        finally:
            connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), name)


def tables_of(names: Mapping[str, Any], schemas: Mapping[str, Any]) -> Tables:
    """Return the tables that the settings ``database_table_names`` and ``database_table_schemas`` name."""
    return Tables(str(names.get("task") or "umbel_results"), schemas.get("task"))
