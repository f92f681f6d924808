"""From a URL to the adapters that speak to it. They are imported only when needed, so that ``import umbel`` stays quick."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from umbel.config import censor_url
from umbel.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from umbel.broker.base import Broker
    from umbel.events.base import Bounds, EventLog
    from umbel.results.base import Results

_REDIS: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_SCHEMES: Final = (*_REDIS, "memory")


def scheme_of(url: str, setting: str) -> str:
    """Return the scheme of a broker's or backend's URL.

    Raises:
        ImproperlyConfigured: it is none that Umbel can speak, with what to write.
    """
    scheme, found, _ = url.partition("://")
    if found and scheme in _SCHEMES:
        return scheme
    near = difflib.get_close_matches(scheme, _SCHEMES, n=1)
    hint = f"did you mean {near[0]}://?" if found and near else "write redis://host:6379/0, or rediss:// for TLS."
    if scheme in ("amqp", "pyamqp", "amqps", "sqs"):
        hint = "Umbel speaks to Redis and Valkey only for now: write redis://host:6379/0."
    raise ImproperlyConfigured(f"the setting {setting} is {censor_url(url)!r}, which Umbel cannot use: {hint}")


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


def make_results(url: str, *, prefix: str) -> Results:
    """Return the result backend behind a URL, not connected yet."""
    if scheme_of(url, "result_backend") == "memory":
        from umbel.results.memory import MemoryResults

        return MemoryResults(url, prefix=prefix)
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
