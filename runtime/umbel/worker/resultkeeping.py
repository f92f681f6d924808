"""The result backend of a supervisor, where the broker is none: it is opened when first needed, which is seldom."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import orjson

from umbel.broker.base import Broker
from umbel.results.base import Results
from umbel.results.cleaning import Cleaner
from umbel.transport import database_settings, make_results, needs_cleaning, with_results


def told_of_results(app: Any) -> dict[str, Any]:
    """Return what the supervisor has to know of the app's result backend; it can import no function of the user's."""
    plain = {name: value for name, value in database_settings(app.conf).items() if _is_plain(value)}
    return {"results_url": app.results_url(), "database": plain}


def _is_plain(value: Any) -> bool:
    if callable(value):
        return False
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


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
                self._results = make_results(app["results_url"], prefix=app["key_prefix"], database=app["database"])
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
