"""What Umbel does with each of Celery's settings."""

from __future__ import annotations

from typing import Any, Final

from umbel.errors import ImproperlyConfigured
from umbel.oldsettings import is_setting, present_name
from umbel.settings import KNOWN, REFUSED, WITHOUT_EFFECT
from umbel.transport import scheme_of

__all__ = ["is_setting", "objection", "present_name", "refused", "without_effect"]

#: Keys of broker_transport_options that only tune what is built otherwise here.
_TUNING: Final = frozenset(
    {
        "visibility_timeout",
        "ack_emulation",
        "fanout_prefix",
        "fanout_patterns",
        "max_connections",
        "max_retries",
        "interval_start",
        "interval_step",
        "interval_max",
        "socket_timeout",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_keepalive_options",
        "retry_on_timeout",
        "health_check_interval",
        "polling_interval",
        "unacked_restore_interval",
        "unacked_restore_throttle",
        "unacked_restore_limit",
    }
)


def without_effect(name: str, value: Any = None) -> str | None:
    """Return why a setting can be left out, None where it cannot.

    Args:
        name: its present name.
        value: where it is known: options that only tune Celery can be left out too.
    """
    if name in WITHOUT_EFFECT:
        return WITHOUT_EFFECT[name]
    if name.endswith("_transport_options") and isinstance(value, dict) and set(value) <= _TUNING:
        return "there is no visibility timeout, and connections are managed by the library"
    return None


def refused(name: str) -> str | None:
    """Return what to do in place of a setting that Umbel refuses, None where it does not."""
    return REFUSED.get(name)


def objection(name: str, value: Any) -> str | None:
    """Return what Umbel has against a value of a setting, None where it is fine."""
    if name in ("broker_url", "result_backend") and isinstance(value, (tuple, list)):
        return "one URL is needed, as text; is there a comma too many?"
    if name in ("broker_url", "result_backend") and isinstance(value, str):
        try:
            scheme_of(value, name)
        except ImproperlyConfigured as error:
            return str(error)
    try:
        KNOWN[name].check(value)
    except ValueError as error:
        return f"give {error}"
    return None
