"""The tables of a result backend in a database: how they are made, brought up to date, and refused."""

from __future__ import annotations

import multiprocessing
import os
import time

import pytest
import sqlalchemy

from umbel.errors import ImproperlyConfigured, LayoutError, OperationalError
from umbel.record import Record
from umbel.results.database import DatabaseResults, schema
from umbel.results.database.opening import open_engine, url_of
from umbel.results.database.schema import STEPS, Tables


def _columns(url: str, tables: Tables) -> tuple[set[str], set[str | None]]:
    engine = open_engine(url, {}, short_lived=True)
    looked = sqlalchemy.inspect(engine)
    name = tables.results.name
    return {c["name"] for c in looked.get_columns(name)}, {i["name"] for i in looked.get_indexes(name)}


def _begin(url: str, name: str, start: float) -> None:
    time.sleep(max(0.0, start - time.time()))
    results = DatabaseResults(url, tables=Tables(name))
    results.store(str(os.getpid()), Record("SUCCESS", b"1"), 60.0)
    results.close()


def test_many_processes_that_start_at_once_make_the_tables_once(url: str, tables: Tables) -> None:
    context = multiprocessing.get_context("spawn")
    start = time.time() + 3.0
    processes = [context.Process(target=_begin, args=(url, tables.results.name, start)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60.0)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    results = DatabaseResults(url, tables=tables)
    assert all(results.get(str(process.pid)) for process in processes)
    assert results.migrate() == 0
    results.close()


@pytest.mark.parametrize("version", range(len(STEPS)))
def test_older_tables_are_brought_up_to_date(
    url: str, tables: Tables, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(schema, "STEPS", STEPS[:version])
        engine = open_engine(url, {}, short_lived=True)
        assert schema.migrate(engine, tables) == version
    results = DatabaseResults(url, tables=tables)
    assert results.migrate() == len(STEPS) - version
    columns, indexes = _columns(url, tables)
    assert columns == {column.name for column in tables.results.columns}
    assert tables.expiry.name in indexes
    results.close()


def test_a_step_that_was_cut_off_is_taken_again(url: str, tables: Tables) -> None:
    """MySQL commits each change of a table by itself: the process died after it, and before that was noted."""
    results = DatabaseResults(url, tables=tables)
    results.migrate()
    engine = open_engine(url, {}, short_lived=True)
    for version in range(len(STEPS)):
        with engine.connect() as connection:
            connection.execute(sqlalchemy.update(tables.versions).values(version=version))
        assert results.migrate() == len(STEPS) - version
    results.close()


def test_newer_tables_are_refused(url: str, tables: Tables) -> None:
    results = DatabaseResults(url, tables=tables)
    results.migrate()
    engine = open_engine(url, {}, short_lived=True)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.update(tables.versions).values(version=len(STEPS) + 1))
    with pytest.raises(LayoutError, match="made by a newer Umbel"):
        results.get("a")
    results.close()


def test_tables_that_are_not_to_be_made_are_asked_for(url: str, tables: Tables) -> None:
    results = DatabaseResults(url, tables=tables, create_tables=False)
    with pytest.raises(LayoutError, match="is of version 0, and version"):
        results.get("a")
    results.migrate()
    assert results.get("a") is None
    results.close()


def test_what_is_too_old_is_deleted(url: str, tables: Tables) -> None:
    results = DatabaseResults(url, tables=tables, prefix="one")
    other = DatabaseResults(url, tables=tables, prefix="two")
    for number in range(5):
        results.store(f"old-{number}", Record("SUCCESS", b"1"), 0.001)
    other.store("old", Record("SUCCESS", b"1"), 0.001)
    results.store("new", Record("SUCCESS", b"1"), 60.0)
    results.store("for ever", Record("SUCCESS", b"1"), 0.0)
    time.sleep(0.01)
    assert results.get("old-1") is None
    assert results.clean_up() == 6
    assert results.clean_up() == 0
    assert results.get("new") is not None
    assert results.get("for ever") is not None
    assert other.get("new") is None
    results.close()
    other.close()


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("db+postgresql://u:p@h/d", "postgresql+psycopg"),
        ("db+postgres://u:p@h/d", "postgresql+psycopg"),
        ("db+mysql://h/d", "mysql+pymysql"),
        ("db+mariadb+pymysql://h/d", "mysql+pymysql"),
        ("db+sqlite:///x.db", "sqlite+pysqlite"),
        ("postgresql+pg8000://h/d", "postgresql+pg8000"),
    ],
)
def test_the_driver_is_one_that_is_installed(given: str, driver: str) -> None:
    assert url_of(given).drivername == driver


def test_a_database_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="a database that Umbel does not know"):
        url_of("db+oracle://h/d")


def test_a_database_that_is_away_is_told_without_its_password() -> None:
    results = DatabaseResults("db+postgresql+psycopg://u:secret@127.0.0.1:1/d")
    with pytest.raises(OperationalError, match="cannot be used") as caught:
        results.get("a")
    assert "secret" not in str(caught.value)
