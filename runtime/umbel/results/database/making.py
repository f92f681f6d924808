"""From the settings of an app to its result backend in a database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from umbel.errors import ImproperlyConfigured
from umbel.imports import import_object, search_path
from umbel.results.database.results import DatabaseResults
from umbel.results.database.schema import tables_of


def make(url: str, prefix: str, settings: Mapping[str, Any]) -> DatabaseResults:
    """Return a result backend.

    Args:
        url: ``db+postgresql://…`` and the like, or ``database`` for that of the setting ``database_url``.
        prefix: of the app's rows.
        settings: those that begin with ``database_``.

    Raises:
        ImproperlyConfigured: something does not fit.
    """
    if url == "database":
        url = settings.get("database_url") or ""
        if not url:
            raise ImproperlyConfigured(
                "result_backend is 'database', and no database_url is set: write db+postgresql://…"
            )
    callback = settings.get("database_engine_callback")
    if isinstance(callback, str):
        with search_path():
            callback = import_object(callback, purpose="database_engine_callback")
    return DatabaseResults(
        url,
        prefix=prefix,
        tables=tables_of(settings.get("database_table_names") or {}, settings.get("database_table_schemas") or {}),
        options=settings.get("database_engine_options") or {},
        create_tables=settings.get("database_create_tables_at_setup", True),
        short_lived=settings.get("database_short_lived_sessions", False),
        engine_callback=callback,
    )
