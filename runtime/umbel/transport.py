"""From a URL to the adapters that speak to it. They are imported only when needed, so that ``import umbel`` stays quick."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from umbel.config import censor_url
from umbel.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from umbel.broker.base import Broker
    from umbel.events.base import Bounds, EventLog
    from umbel.results.base import Results

#: As ``result_backend``: store nothing.
DISABLED: Final = "disabled"
_REDIS: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_SCHEMES: Final = (*_REDIS, "memory")
#: Databases by SQLAlchemy, as result backends.
_DATABASES: Final = ("db+postgresql", "db+mysql", "db+sqlite", "database")
_RESULTS: Final = (*_SCHEMES, *_DATABASES, DISABLED)


def scheme_of(url: str, setting: str) -> str:
    """Return the scheme of a broker's or backend's URL; a database's without its driver.

    Raises:
        ImproperlyConfigured: it is none that Umbel can speak, with what to write.
    """
    known = _RESULTS if setting == "result_backend" else _SCHEMES
    if setting == "result_backend" and url in (DISABLED, "database"):
        return url
    scheme, found, _ = url.partition("://")
    kind = _kind_of(scheme)
    if found and kind in known:
        return kind
    near = difflib.get_close_matches(scheme, known, n=1)
    hint = f"did you mean {near[0]}://?" if found and near else "write redis://host:6379/0, or rediss:// for TLS."
    if scheme in ("amqp", "pyamqp", "amqps", "sqs"):
        hint = "Umbel speaks to Redis and Valkey only for now: write redis://host:6379/0."
    raise ImproperlyConfigured(f"the setting {setting} is {censor_url(url)!r}, which Umbel cannot use: {hint}")


def _kind_of(scheme: str) -> str:
    """Return ``db+postgresql`` for ``db+postgresql+psycopg``."""
    prefix, is_database, rest = scheme.partition("db+")
    if prefix or not is_database:
        return scheme
    kind = rest.partition("+")[0]
    return f"db+{ {'postgres': 'postgresql', 'mariadb': 'mysql'}.get(kind, kind) }"


def make_broker(url: str, *, prefix: str, publish_timeout: float) -> Broker:
    """Return the broker behind a URL, not connected yet.

    Args:
        url: see `scheme_of`.
        prefix: of all keys.
        publish_timeout: seconds for one publish, tries included.
    """
    if scheme_of(url, "broker_url") == "memory":
        from umbel.broker.memory import MemoryBroker

        return MemoryBroker(url, prefix=prefix)
    from umbel.broker.redis import RedisBroker

    return RedisBroker(url, prefix=prefix, publish_timeout=publish_timeout)


def make_results(url: str, *, prefix: str, database: Mapping[str, Any] | None = None) -> Results:
    """Return the result backend behind a URL, not connected yet.

    Args:
        url: see `scheme_of`.
        prefix: of all keys, or rows.
        database: the settings ``database_…``, for a database.
    """
    scheme = scheme_of(url, "result_backend")
    if scheme == "memory":
        from umbel.results.memory import MemoryResults

        return MemoryResults(url, prefix=prefix)
    if scheme == DISABLED:
        from umbel.results.disabled import DisabledResults

        return DisabledResults()
    if scheme in _DATABASES:
        from umbel.results.database.making import make

        return make(url, prefix, database or {})
    from umbel.results.redis import RedisResults

    return RedisResults(url, prefix=prefix)


def make_events(url: str, *, prefix: str, bounds: Bounds) -> EventLog:
    """Return where events are kept: beside the queues.

    Args:
        url: of the broker.
        prefix: of all keys.
        bounds: how much is kept.
    """
    if scheme_of(url, "broker_url") == "memory":
        from umbel.events.memory import MemoryEvents

        return MemoryEvents(url, prefix=prefix, bounds=bounds)
    from umbel.events.redis import RedisEvents

    return RedisEvents(url, prefix=prefix, bounds=bounds)


def with_results(broker: Broker, broker_url: str, results_url: str, results: Callable[[], Results]) -> Broker:
    """Return a broker that stores its tasks' results where they belong: as it is, where it keeps them itself.

    Args:
        broker: as `make_broker` returned it.
        broker_url, results_url: where the two are.
        results: returns the result backend.
    """
    if results_url == broker_url:
        return broker
    from umbel.storing import store_elsewhere

    return store_elsewhere(broker, results)


def needs_cleaning(url: str) -> bool:
    """Tell whether somebody has to delete there what is too old."""
    return scheme_of(url, "result_backend") in _DATABASES


def database_settings(conf: Any) -> dict[str, Any]:
    """Return the settings of a result backend in a database."""
    return {name: conf[name] for name in conf if name.startswith("database_")}
