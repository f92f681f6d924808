"""The names that Celery's settings had before version 4, still found in many projects: ``CELERYD_CONCURRENCY``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from umbel.celerysettings import ONLY
from umbel.settings import KNOWN, REFUSED, WITHOUT_EFFECT

#: Those that no rule leads to their new ones; empty where there is none.
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


def is_setting(name: str) -> bool:
    """Tell whether this is the present name of a setting of Celery's or ours."""
    return name in KNOWN or name in WITHOUT_EFFECT or name in REFUSED or name in ONLY


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


def old_names(names: Iterable[str]) -> dict[str, str]:
    """Return the names among these that are upper-case ones of settings, each with its present one."""
    found = {name: present_name(name) for name in names if name.isupper() and name.startswith(("CELERY", "BROKER_"))}
    return {name: present for name, present in found.items() if present is not None}
