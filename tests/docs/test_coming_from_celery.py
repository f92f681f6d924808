"""The tables of docs/coming-from-celery.md: every name of Celery is there, every name of Umbel exists."""

from __future__ import annotations

import json

import pytest
from tests.docs.celery_table import PAGE, VERDICTS, Row, Table, tables
from tests.docs.umbel_names import missing
from tests.workers import ROOT

from umbel.settings import KNOWN, REFUSED, WITHOUT_EFFECT

NAMES: dict[str, list[str]] = json.loads((ROOT / "tests/docs/celery_names.json").read_text("utf-8"))["areas"]
TABLES = tables()
ROWS = [(table, row) for table in TABLES for row in table.rows]


def _where(row: Row) -> str:
    return f"{PAGE.name}:{row.line}"


def test_each_row_says_same_better_or_not_offered() -> None:
    assert [_where(row) for _, row in ROWS if row.verdict not in VERDICTS] == []


def test_a_row_that_is_better_or_not_offered_says_how_or_why() -> None:
    silent = [
        _where(row) for _, row in ROWS if row.verdict in ("better", "not offered") and not row.why and not row.umbel
    ]
    assert not silent, "\n".join(silent)


def test_a_row_that_is_the_same_or_better_has_a_name() -> None:
    nameless = [
        _where(row)
        for _, row in ROWS
        if row.verdict in ("same", "better") and not row.umbel and "](" not in row.why and "`" not in row.why
    ]
    assert not nameless, "\n".join(nameless)


def test_every_name_of_umbel_exists() -> None:
    wrong = [
        f"{_where(row)}: {said}"
        for table, row in ROWS
        for name in row.umbel
        if (said := missing(name, table.place)) is not None
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("area", sorted(NAMES))
def test_every_name_of_celery_is_in_the_table(area: str) -> None:
    mine = [table for table in TABLES if area in table.areas]
    lacking = [name for name in NAMES[area] if not any(table.covers(name) for table in mine)]
    assert lacking == [], f"no table of {PAGE.name} with <!-- celery: {area} … --> names these"


def test_every_name_that_the_table_gives_celery_is_one() -> None:
    known = {area: set(names) for area, names in NAMES.items()}
    invented = [
        f"{_where(row)}: {name}"
        for table in TABLES
        if table.areas
        for row in table.rows
        for name in row.celery
        if "*" not in name and not _named(name, table, known)
    ]
    assert not invented, "\n".join(invented)


def _named(name: str, table: Table, known: dict[str, set[str]]) -> bool:
    full = f"{table.before} {name}".strip()
    return any(full in known[area] for area in table.areas) or name.startswith("@")


def test_the_table_says_of_each_setting_what_the_code_does() -> None:
    wrong = []
    for table in TABLES:
        for row in table.rows if "settings" in table.areas else ():
            for name in row.celery:
                if row.verdict == "not offered" and name in KNOWN:
                    wrong.append(f"{_where(row)}: {name} is a setting of Umbel")
                if row.verdict in ("same", "better") and name in REFUSED | WITHOUT_EFFECT:
                    wrong.append(f"{_where(row)}: {name} is refused, or has no effect")
    assert not wrong, "\n".join(wrong)
