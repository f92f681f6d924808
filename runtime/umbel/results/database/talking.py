"""The way to a database: an engine that is made at its first use, and what goes wrong there, in words of ours."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from sqlalchemy import exc
from sqlalchemy.engine import Connection, Engine

from umbel.config import censor_url
from umbel.errors import BackendError, OperationalError
from umbel.forking import ForkLock
from umbel.results.database import schema
from umbel.results.database.statements import Statements

#: Held while a thread is in the code of SQLite, whose own locks are the process's: a fork in the middle leaves them held for ever
#: in the new process. Taken after the lock of a `Talking`, as a fork takes them.
_IN_SQLITE: Final = ForkLock()


class Talking:
    """See the module. Thread-safe; a forked process begins anew.

    Args:
        url: as it was given, for messages.
        open: makes an engine.
        tables: that are to be there.
        create_tables: make them, and take the steps to what this release needs, at the first use.
        prefix: of this app's rows.
        callback: called with each engine that is made.
    """

    def __init__(
        self,
        url: str,
        open: Callable[[], Engine],
        tables: schema.Tables,
        *,
        create_tables: bool,
        prefix: str,
        callback: Callable[[Engine], object] | None,
    ) -> None:
        self._url = url
        self._open = open
        self._tables = tables
        self._create_tables = create_tables
        self._prefix = prefix
        self._callback = callback
        self._lock = ForkLock()
        self._ready: tuple[Engine, Statements] | None = None
        self._doubtful = False  # something failed: the tables may not be what they were
        own = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forget_parent(own))

    @contextmanager
    def talk(self) -> Iterator[tuple[Connection, Statements]]:
        """Hand out a connection, and the statements for it.

        Raises:
            OperationalError: the database is away.
            BackendError: it refuses a statement.
            LayoutError: the tables are of another release.
        """
        with self._errors():
            if self._doubtful:
                self._look_at_tables()
            engine, statements = self._ready or self._get_ready()
            with _no_fork_within(engine), engine.connect() as connection:
                yield connection, statements

    def migrate(self) -> int:
        """Make the tables, or take them to what this release needs; return how many steps that took."""
        engine = self._open()
        try:
            with self._errors():
                return schema.migrate(engine, self._tables)
        finally:
            engine.dispose()

    def close(self) -> None:
        """Drop all connections; the next use connects anew."""
        with self._lock:
            ready, self._ready = self._ready, None
        if ready is not None:
            with _no_fork_within(ready[0]):
                ready[0].dispose()

    def forget_parent(self) -> None:
        """In a forked process: leave the parent's connections to the parent."""
        ready, self._ready = self._ready, None
        if ready is not None:
            ready[0].dispose(close=False)

    def _get_ready(self) -> tuple[Engine, Statements]:
        """Return the engine; at its first use, see to the tables."""
        with self._lock:
            if self._ready is None:
                engine = self._open()
                try:
                    self._prepare(engine)
                except BaseException:
                    engine.dispose()
                    raise
                self._ready = engine, Statements(self._tables, engine.dialect.name, self._prefix)
            return self._ready

    def _look_at_tables(self) -> None:
        with self._lock:
            self._doubtful = False
            if self._ready is not None:
                self._see_to_tables(self._ready[0])

    def _prepare(self, engine: Engine) -> None:
        if self._callback is not None:
            self._callback(engine)
        self._see_to_tables(engine)

    def _see_to_tables(self, engine: Engine) -> None:
        if self._create_tables:
            schema.migrate(engine, self._tables)
            return
        with engine.connect() as connection:
            schema.check_complete(schema.version_of(connection, self._tables), self._tables)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn SQLAlchemy's errors into ours: what passes by itself, and what does not."""
        try:
            yield
        except exc.DBAPIError as error:
            shown = str(error.orig)
            self._doubtful = True
            if error.connection_invalidated or isinstance(error, (exc.OperationalError, exc.InterfaceError)):
                raise OperationalError(
                    f"the database of the results, {censor_url(self._url)}, cannot be used ({shown}): check that it runs, that "
                    "result_backend is right, and that its user may read and write the table"
                ) from error
            raise BackendError(f"the database of the results refused a statement: {shown}") from error
        except exc.TimeoutError as error:
            raise OperationalError(f"no connection to the database of the results became free: {error}") from error


def _forget_parent(own: weakref.ref[Talking]) -> None:
    talking = own()
    if talking is not None:
        talking.forget_parent()


def _no_fork_within(engine: Engine) -> AbstractContextManager[None]:
    return _IN_SQLITE if engine.dialect.name == "sqlite" else nullcontext()
