"""Names of settings, old and new, and what Umbel does with each."""

from __future__ import annotations

from typing import Any, Final

from umbel.errors import ImproperlyConfigured
from umbel.settings import KNOWN, REFUSED, WITHOUT_EFFECT
from umbel.transport import scheme_of

#: Names of before Celery 4 that no rule leads to their new ones.
_IRREGULAR: Final[dict[str, str]] = {
    "celery_eager_propagates_exceptions": "task_eager_propagates",
    "celery_max_cached_results": "result_cache_max",
    "celery_message_compression": "task_compression",
    "celery_result_db_short_lived_sessions": "database_short_lived_sessions",
    "celery_result_db_tablenames": "database_table_names",
    "celery_result_dburi": "database_url",
    "celery_result_engine_options": "database_engine_options",
    "celery_send_events": "worker_send_task_events",
    "celery_send_task_error_emails": "",
    "celery_send_task_sent_event": "task_send_sent_event",
    "celery_task_result_expires": "result_expires",
    "celeryd_task_soft_time_limit": "task_soft_time_limit",
    "celeryd_task_time_limit": "task_time_limit",
    "celeryd_worker_lost_wait": "worker_lost_wait",
}
#: What the first part of an old name may have become.
_RULES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("celeryd_", ("worker_",)),
    ("celerybeat_", ("beat_",)),
    ("celery_", ("task_", "", "worker_")),
)
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


def is_setting(name: str) -> bool:
    """Tell whether this is the present name of a setting of Celery's or ours."""
    return name in KNOWN or name in WITHOUT_EFFECT or name in REFUSED


def present_name(name: str) -> str | None:
    """Return the present, lower-case name of a setting, None where this is no setting's name."""
    lower = name.lower()
    if lower in _IRREGULAR:
        return _IRREGULAR[lower] or None
    if is_setting(lower):
        return lower
    for begins, prefixes in _RULES:
        if lower.startswith(begins):
            rest = lower.removeprefix(begins)
            return next((prefix + rest for prefix in prefixes if is_setting(prefix + rest)), None)
    return None


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
