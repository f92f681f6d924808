"""Large records in a database: in parts that its server takes, of which none is left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import sqlalchemy
from tests.databases import is_there

from umbel.errors import BackendError, OperationalError
from umbel.record import Record
from umbel.results.database import DatabaseResults, parts
from umbel.results.database.opening import open_engine
from umbel.results.database.schema import Tables

MiB = 1024 * 1024


@pytest.fixture
def results(url: str, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseResults]:
    monkeypatch.setattr(parts, "PART", 1000)
    monkeypatch.setattr(parts, "SMALL", 1000)
    results = DatabaseResults(url, tables=tables)
    yield results
    results.close()


def _count(url: str, tables: Tables) -> int:
    engine = open_engine(url, {}, short_lived=True)
    with engine.connect() as connection:
        return int(
            connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(tables.parts)).scalar() or 0
        )


def _large(state: str = "SUCCESS", attempt: int = 0) -> Record:
    return Record(state, b"x" * 10_000, attempt)


def test_a_forgotten_one_leaves_no_part(results: DatabaseResults, url: str, tables: Tables) -> None:
    results.store("a", _large(), 60.0)
    assert _count(url, tables) > 9
    results.forget("a")
    assert _count(url, tables) == 0


def test_one_that_comes_too_late_leaves_no_part(results: DatabaseResults, url: str, tables: Tables) -> None:
    results.store("a", Record("SUCCESS", b"1", 2), 60.0)
    assert not results.store("a", _large(attempt=1), 60.0)
    assert _count(url, tables) == 0


def test_parts_whose_time_is_over_are_deleted(
    results: DatabaseResults, url: str, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "LONGER", 0)
    monkeypatch.setattr(parts, "SWEEP", 3)
    results.store("a", _large(), 0.001)
    results.store("b", _large(), 60.0)
    time.sleep(0.01)
    assert results.clean_up() == 1
    assert _count(url, tables) == 11
    assert results.get("b") == _large()


def test_one_whose_parts_are_gone_says_so(results: DatabaseResults, url: str, tables: Tables) -> None:
    results.store("a", _large(), 60.0)
    engine = open_engine(url, {}, short_lived=True)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.delete(tables.parts).where(tables.parts.c.number == 5))
    with pytest.raises(BackendError, match="the result of task a is not whole"):
        results.get("a")
    results.forget("a")
    assert results.get("a") is None


def test_what_cannot_be_read_is_told_to_those_who_wait_for_it_and_nobody_else(
    results: DatabaseResults, url: str, tables: Tables
) -> None:
    for task_id in ("before", "bad", "good"):
        results.store(task_id, Record("SUCCESS", b"1"), 60.0)
    engine = open_engine(url, {}, short_lived=True)
    bad = sqlalchemy.update(tables.results).where(tables.results.c.task_id == "bad").values(record=b"nonsense")
    with engine.connect() as connection:
        connection.execute(bad)
    late, first, second, third = results.wait_many([("late", None), ("before", None), ("bad", None), ("good", None)])
    assert first.result(30.0).value == third.result(30.0).value == b"1"
    with pytest.raises(BackendError, match="shorter than its head"):
        second.result(30.0)
    results.store("late", Record("SUCCESS", b"2"), 60.0)
    assert late.result(30.0).value == b"2"
    results.forget("bad")
    assert results.get("bad") is None


def test_tables_that_were_dropped_are_made_again(results: DatabaseResults, url: str, tables: Tables) -> None:
    results.store("a", Record("SUCCESS", b"1"), 60.0)
    engine = open_engine(url, {}, short_lived=True)
    with engine.connect() as connection:
        tables.results.drop(connection)
    with pytest.raises((BackendError, OperationalError)):
        results.get("a")
    assert results.store("b", _large(), 60.0)
    assert results.get("b") == _large()


@pytest.mark.skipif(not is_there("mariadb"), reason="no mariadb on PATH")
def test_parts_are_as_small_as_the_server_wants_them(request: pytest.FixtureRequest, prefix: str) -> None:
    """MySQL hangs up on who sends more than max_allowed_packet, in which a byte may count twice."""
    url = str(request.getfixturevalue("mariadb").url)
    engine = open_engine(url, {}, short_lived=True)
    with engine.connect() as connection:
        usual = connection.execute(sqlalchemy.text("SELECT @@global.max_allowed_packet")).scalar()
        connection.execute(sqlalchemy.text(f"SET GLOBAL max_allowed_packet = {MiB}"))
    try:
        results = DatabaseResults(url, prefix=prefix)
        stored = Record("SUCCESS", b"'\0\\" * MiB, meta={"args": ["'" * MiB]})
        assert results.store("a", stored, 60.0)
        assert results.get("a") == stored
        results.forget("a")
        results.close()
    finally:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"SET GLOBAL max_allowed_packet = {usual}"))
