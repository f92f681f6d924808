"""The way of an app to its broker, its results, its events, and to what stands above it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, cast

from umbel.app.names import AppNames
from umbel.errors import ImproperlyConfigured
from umbel.transport import database_settings, make_broker, make_results, with_results

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.broker.base import Broker
    from umbel.events.facade import Events
    from umbel.results.base import Results


class AppConnections(AppNames):
    """See the module. Mixed into `umbel.Umbel`."""

    _autofinalize: bool
    _broker: Broker | None = None
    _results: Results | None = None
    _events: Events | None = None

    @property
    def broker(self) -> Broker:
        """The broker, connected at its first use.

        Raises:
            ImproperlyConfigured: no broker is set, or its URL cannot be used.
        """
        if self._broker is None:
            if self._autofinalize:
                self.finalize(auto=True)
            with self._lock:
                if self._broker is None:
                    conf = self.conf
                    url = self.broker_url()
                    made = make_broker(url, prefix=conf.key_prefix, publish_timeout=conf.publish_timeout)
                    self._broker = with_results(made, url, self.results_url(), lambda: self.results)
        return self._broker

    @property
    def results(self) -> Results:
        """The result backend, connected at its first use; the broker's Redis unless ``result_backend`` says otherwise."""
        if self._results is None:
            with self._lock:
                if self._results is None:
                    conf = self.conf
                    self._results = make_results(
                        self.results_url(), prefix=conf.key_prefix, database=database_settings(conf)
                    )
        return self._results

    backend = results

    @property
    def events(self) -> Events:
        """What reads, adds up and sends events: ``Receiver``, ``State``, ``Dispatcher``; see `umbel.events`."""
        if self._events is None:
            from umbel.events.facade import Events

            self._events = Events(cast("Umbel", self))
        return self._events

    def results_url(self) -> str:
        """Return the URL of the result backend."""
        return self.conf.result_backend or self.broker_url()

    def broker_url(self) -> str:
        """Return the broker's URL.

        Raises:
            ImproperlyConfigured: none is set.
        """
        url: str | None = self.conf.broker_url
        if url is None:
            raise ImproperlyConfigured(
                "no broker is set: give Umbel(broker='redis://localhost:6379/0'), the environment variable UMBEL_BROKER_URL, "
                "or -b on the command line"
            )
        return url

    @property
    def control(self) -> Any:
        """Commands to workers: ``revoke``, ``shutdown``, ``ping``, ``inspect()``, ``purge``; see `umbel.control`."""
        # The control stands a floor above the app: found by name, not imported.
        return importlib.import_module("umbel.control.commands").Control(self)

    @property
    def dead(self) -> Any:
        """The dead letters of all queues: ``find``, ``get``, ``retry``, ``purge``; see `umbel.control.deadletters`."""
        return importlib.import_module("umbel.control.deadletters").DeadLetters(self)

    def close(self) -> None:
        """Drop all connections; the next use connects anew."""
        with self._lock:
            broker, self._broker = self._broker, None
            results, self._results = self._results, None
            events, self._events = self._events, None
            self.conf.touch()
        for part in (events, results, broker):
            if part is not None:
                part.close()
