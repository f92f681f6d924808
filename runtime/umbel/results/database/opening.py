"""From ``db+postgresql://…`` to an engine of SQLAlchemy."""

from __future__ import annotations

import importlib.util
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from umbel.config import censor_url
from umbel.errors import ImproperlyConfigured

try:
    import sqlalchemy
    from sqlalchemy.engine import URL, Engine, make_url
    from sqlalchemy.pool import NullPool
except ImportError as error:
    raise ImproperlyConfigured(
        "results in a database need SQLAlchemy: install it with `pip install 'umbel[database]'`, and a driver for the database, "
        "such as psycopg for PostgreSQL or pymysql for MySQL"
    ) from error

#: Drivers by kind of database, the better first, each with the module that has to be there.
_DRIVERS: Final = {
    "postgresql": (("psycopg", "psycopg"), ("psycopg2", "psycopg2"), ("pg8000", "pg8000")),
    "mysql": (("mysqldb", "MySQLdb"), ("pymysql", "pymysql"), ("mysqlconnector", "mysql.connector")),
    "sqlite": (("pysqlite", "sqlite3"),),
}
_KINDS: Final = {"postgres": "postgresql", "mariadb": "mysql"}


def url_of(given: str) -> URL:
    """Return the URL for SQLAlchemy; where it names no driver, with one that is installed.

    Raises:
        ImproperlyConfigured: the database is none of the three, or no driver for it is installed.
    """
    url = make_url(given.removeprefix("db+"))
    name, _, driver = url.drivername.partition("+")
    kind = _KINDS.get(name, name)
    if kind not in _DRIVERS:
        raise ImproperlyConfigured(
            f"the result backend {censor_url(given)!r} is a database that Umbel does not know: write db+postgresql://, "
            "db+mysql:// or db+sqlite:///"
        )
    if not driver:
        driver = next((driver for driver, module in _DRIVERS[kind] if _is_there(module)), "")
    if not driver:
        names = " or ".join(module.partition(".")[0] for _, module in _DRIVERS[kind])
        raise ImproperlyConfigured(f"no driver for {kind} is installed: `pip install` one of {names}")
    return url.set(drivername=f"{kind}+{driver}")


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def open_engine(given: str, options: Mapping[str, Any], *, short_lived: bool) -> Engine:
    """Return an engine whose statements each commit by themselves.

    Args:
        given: the URL, with or without ``db+``.
        options: for ``create_engine``; what they say wins.
        short_lived: open a connection for each statement, and keep none.
    """
    url = url_of(given)
    usual: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}
    if short_lived:
        usual["poolclass"] = NullPool
    else:
        usual |= {"pool_pre_ping": True, "pool_recycle": 3600}
    if url.get_backend_name() == "sqlite":
        usual["connect_args"] = {"timeout": 30, "check_same_thread": False}
    engine = sqlalchemy.create_engine(url, **(usual | dict(options)))
    if url.get_backend_name() == "sqlite":
        sqlalchemy.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: object) -> None:
    """Let readers and one writer work at the same time."""
    cursor = connection.cursor()
    # The mode stays with the file. SQLite does not wait for the moment at which it may change it; the next connection tries again.
    with suppress(sqlite3.OperationalError):
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
