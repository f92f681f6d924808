"""The result backend of a supervisor, where the broker is none: it is opened when first needed, which is seldom."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

from umbel.broker.base import Broker
from umbel.errors import ImproperlyConfigured
from umbel.imports import import_object, search_path
from umbel.results.base import Results
from umbel.results.cleaning import Cleaner
from umbel.transport import database_settings, make_results, needs_cleaning, with_results

#: Stands for an object that the supervisor imports, which it does only where it needs the result backend.
_NAMED: Final = "umbel:import"


def told_of_results(app: Any) -> dict[str, Any]:
    """Return what the supervisor has to know of the app's result backend, as JSON has it: functions and classes by their names.

    Raises:
        ImproperlyConfigured: a setting holds something that has no name.
    """
    url, settings = app.results_url(), {}
    if needs_cleaning(url):
        settings = {name: _told(value, name) for name, value in database_settings(app.conf).items()}
    return {"results_url": url, "database": settings}


def _told(value: Any, setting: str) -> Any:
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _told(one, setting) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_told(one, setting) for one in value]
    name = f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"
    try:
        found = import_object(name)
    except (ImproperlyConfigured, ValueError):
        found = None
    if found is None or found is not value:
        raise ImproperlyConfigured(
            f"the setting {setting} holds {value!r}, which the worker's supervisor cannot import, and it needs the results too: "
            "give a function or a class that stands at the top of a module, such as a database_engine_callback that puts it in"
        )
    return {_NAMED: name}


def _meant(told: Any) -> Any:
    """Return what `_told` made JSON of."""
    if isinstance(told, dict):
        if _NAMED in told:
            with search_path():
                return import_object(told[_NAMED])
        return {key: _meant(one) for key, one in told.items()}
    return [_meant(one) for one in told] if isinstance(told, list) else told


class ResultKeeping:
    """See the module.

    Args:
        app: what the zygote told of it.
    """

    def __init__(self, app: Mapping[str, Any]) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._results: Results | None = None
        self._cleaner = Cleaner(self.results) if needs_cleaning(app["results_url"]) else None

    def results(self) -> Results:
        """Return the backend."""
        with self._lock:
            if self._results is None:
                app = self._app
                database = {name: _meant(told) for name, told in app["database"].items()}
                self._results = make_results(app["results_url"], prefix=app["key_prefix"], database=database)
            return self._results

    def with_results(self, broker: Broker) -> Broker:
        """Return the broker such that what this process writes of results goes to the backend."""
        return with_results(broker, self._app["broker_url"], self._app["results_url"], self.results)

    def start(self) -> None:
        """Clean up from now on, where that is this process's to do."""
        if self._cleaner is not None:
            self._cleaner.start()

    def stop(self) -> None:
        """End, and close what is open."""
        if self._cleaner is not None:
            self._cleaner.stop()
            self._cleaner.join(1.0)
        with self._lock:
            results, self._results = self._results, None
        if results is not None:
            results.close()
