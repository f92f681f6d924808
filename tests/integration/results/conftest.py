"""Databases of each kind that there is, with tables of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.databases import is_there

from umbel.results.database.opening import open_engine
from umbel.results.database.schema import Tables

KINDS = ["sqlite", *(kind for kind in ("postgresql", "mariadb") if is_there(kind))]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of each kind."""
    if request.param == "sqlite":
        return f"db+sqlite:///{tmp_path}/results.db"
    return str(request.getfixturevalue(request.param).url)


@pytest.fixture
def tables(url: str, prefix: str) -> Iterator[Tables]:
    """Tables that only this test has."""
    tables = Tables(prefix.replace("-", "_"))
    yield tables
    engine = open_engine(url, {}, short_lived=True)
    tables.metadata.drop_all(engine)
    engine.dispose()
