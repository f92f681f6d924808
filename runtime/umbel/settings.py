"""The known settings: name, type, default, what it means. Celery's lower-case names where they have a meaning here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from umbel import celerysettings
from umbel.errors import ImproperlyConfigured
from umbel.executors import executor
from umbel.pace import rate_interval

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off", ""})

Check = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    ``check`` turns a given value into the one to use, or raises ValueError with what is expected.
    """

    name: str
    check: Check
    default: Any
    doc: str


def boolean(value: Any) -> bool:
    if isinstance(value, str):
        if value.lower() in _TRUE:
            return True
        if value.lower() in _FALSE:
            return False
    elif isinstance(value, (bool, int)) and value in (0, 1):
        return bool(value)
    raise ValueError("true or false")


def text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("text that is not empty")
    return value


def integer(least: int, most: int | None = None) -> Check:
    def check(value: Any) -> int:
        expected = f"a whole number of at least {least}" + (f" and at most {most}" if most is not None else "")
        if isinstance(value, bool):
            raise ValueError(expected)
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise ValueError(expected) from None
        if number != float(value) or number < least or (most is not None and number > most):
            raise ValueError(expected)
        return number

    return check


def rate(value: Any) -> str | float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("a rate such as '100/m', or a number a second")
    rate_interval(value)
    return value


def seconds(*, above_zero: bool = True) -> Check:
    def check(value: Any) -> float:
        expected = "seconds, " + ("above 0" if above_zero else "not below 0")
        if isinstance(value, timedelta):
            value = value.total_seconds()
        if isinstance(value, bool):
            raise ValueError(expected)
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise ValueError(expected) from None
        if number < 0 or (above_zero and number == 0) or not math.isfinite(number):
            raise ValueError(expected)
        return number

    return check


def optional(check: Check) -> Check:
    def checked(value: Any) -> Any:
        return None if value is None or value == "" else check(value)

    return checked


#: What arguments and results can be compressed by, with the other names of some.
COMPRESSIONS: Final = ("zlib", "gzip", "bzip2", "bz2", "lzma", "xz", "zstd", "zstandard", "brotli")


def names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError("a list of names (in the environment: separated by commas)")


def mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"a JSON object ({error})") from None
    if not isinstance(value, Mapping):
        raise ValueError("a dict (in the environment: a JSON object)")
    return dict(value)


def function(value: Any) -> Any:
    if callable(value) or (isinstance(value, str) and value):
        return value
    raise ValueError("a function, or its dotted name")


def routes(value: Any) -> Any:
    """Accept a dict, a list of (pattern, route) pairs or dicts, or a callable; `umbel.routing` reads it."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        value = json.loads(value)
    if isinstance(value, (Mapping, list, tuple, str)) or callable(value) or hasattr(value, "route_for_task"):
        return value
    raise ValueError("a dict {task name or pattern: queue}, a list of such pairs, or a callable")


def queue_list(value: Any) -> Any:
    from umbel.queues import queues_of

    try:
        return queues_of(value)
    except ImproperlyConfigured as error:
        raise ValueError(f"queues ({error})") from None


def shards(value: Any) -> dict[str, int]:
    """Accept how many queues in Redis stand behind a queue, by its name."""
    given = mapping(value)
    for size in given.values():
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MOST_SHARDS:
            raise ValueError(f"a dict {{queue: how many shards, from 1 to {MOST_SHARDS}}}")
    return given


def task_annotations(value: Any) -> Any:
    """Accept a dict, an object with ``annotate(task)``, the dotted path of one, or a list of these."""
    if isinstance(value, (Mapping, list, tuple)) or hasattr(value, "annotate"):
        return value
    return text(value)


def contents(value: Any) -> tuple[str, ...]:
    given = names(value)
    if not given:
        raise ValueError("a list of serializers, such as ['json']: with none, no task could run")
    return given


def compression(value: Any) -> str:
    if value not in COMPRESSIONS:
        raise ValueError(f"one of {', '.join(COMPRESSIONS)}")
    return str(value)


def yes_utc(value: Any) -> bool:
    if not boolean(value):
        raise ValueError(
            "true: times are always kept in UTC; `timezone` decides how schedules and naive times are read"
        )
    return True


def yes_lost(value: Any) -> bool:
    if not boolean(value):
        raise ValueError("true: a task whose worker dies runs again; task_acks_late=False is for at most once")
    return True


def zone(value: Any) -> str:
    from zoneinfo import ZoneInfo

    name = text(value) if isinstance(value, str) else getattr(value, "key", None) or getattr(value, "zone", None)
    try:
        ZoneInfo(str(name))
    except Exception:
        raise ValueError("an IANA time zone like 'Europe/Oslo' or 'UTC'") from None
    return str(name)


#: Bytes of what is unpacked.
LARGEST: Final = 64 * 2**20
ONE_DAY: Final = 86400.0
#: Shards of one queue at most; a worker has a line to each.
MOST_SHARDS: Final = 32

_LIST: Final = [
    Setting("broker_url", optional(text), None, "where tasks are sent; redis://host:port/db"),
    Setting(
        "result_backend",
        optional(text),
        None,
        "where results are kept; the broker unless set, nowhere if 'disabled'",
    ),
    Setting("database_url", optional(text), None, "the database of the results, where result_backend is 'database'"),
    Setting("database_engine_options", mapping, {}, "options for SQLAlchemy's create_engine"),
    Setting("database_engine_callback", optional(function), None, "called with each engine that is made, or its name"),
    Setting("database_short_lived_sessions", boolean, False, "open a connection for each statement, keep none"),
    Setting("database_table_names", mapping, {}, "{'task': name of the table}; umbel_results unless set"),
    Setting("database_table_schemas", mapping, {}, "{'task': schema of the table}"),
    Setting(
        "database_create_tables_at_setup", boolean, True, "make the tables, and bring them up to date, at first use"
    ),
    Setting("key_prefix", text, "umbel", "the first part of every key in Redis"),
    Setting("publish_timeout", seconds(), 5.0, "seconds after which delay() gives up on an unreachable broker"),
    Setting("task_default_queue", text, "default", "queue of tasks that name none"),
    Setting("task_default_priority", integer(0, 9), 5, "0-9, 9 is served first"),
    Setting("queue_shards", shards, {}, "queues that are split over several: {queue: how many}"),
    Setting("task_default_rate_limit", optional(rate), None, "rate limit of tasks that name none, as '100/m'"),
    Setting(
        "task_queues", optional(queue_list), None, "the queues there are, which workers consume: names, or umbel.Queue"
    ),
    Setting("worker_direct", boolean, False, "each worker has a queue of its own too: <name of the worker>.dq2"),
    Setting("own_queue_grace", seconds(), 300.0, "seconds after a worker's end until its own queue ends"),
    Setting(
        "task_create_missing_queues", boolean, True, "false: sending to a queue that is not in task_queues is an error"
    ),
    Setting("task_routes", optional(routes), None, "queues by task name: {name or pattern: queue}"),
    Setting("task_serializer", text, "json", "name of the codec of arguments"),
    Setting("result_serializer", text, "json", "name of the codec of results"),
    Setting("accept_content", contents, ("json",), "serializers of messages that workers read; others are refused"),
    Setting("result_accept_content", optional(contents), None, "serializers of results; accept_content unless set"),
    Setting("task_compression", optional(compression), None, "of arguments: zlib, bzip2, lzma, zstd or brotli"),
    Setting("result_compression", optional(compression), None, "of results: zlib, bzip2, lzma, zstd or brotli"),
    Setting(
        "decompressed_max_size",
        integer(1),
        LARGEST,
        "bytes that compressed arguments and results may hold; more is refused, before it takes a worker's memory",
    ),
    Setting("security_key", optional(text), None, "file of the private key that signs messages, see setup_security"),
    Setting("security_key_password", optional(text), None, "of that key, where it is encrypted"),
    Setting("security_certificate", optional(text), None, "file of that key's certificate"),
    Setting("security_cert_store", optional(text), None, "folder or pattern of the certificates that are trusted"),
    Setting("security_digest", text, "sha256", "digest of signatures"),
    Setting(
        "task_acks_late", boolean, True, "acknowledge after the task, not before: it runs again if its worker dies"
    ),
    Setting("task_reject_on_worker_lost", yes_lost, True, "kept for Celery's users; follows from task_acks_late"),
    Setting(
        "task_annotations",
        optional(task_annotations),
        None,
        "options of tasks from outside: {name or '*': {option: value}}",
    ),
    Setting("task_inherit_parent_priority", boolean, False, "a task that a task sends has its priority, unless set"),
    Setting("task_ignore_result", boolean, False, "store no results"),
    Setting("task_store_errors_even_if_ignored", boolean, False, "store failures also of tasks that ignore results"),
    Setting("task_track_started", boolean, False, "store STARTED when a task begins"),
    Setting("task_always_eager", boolean, False, "run tasks at once in the calling process; for tests"),
    Setting(
        "task_allow_error_cb_on_chord_header",
        boolean,
        False,
        "call the errbacks of a chord for each task of its header that fails, not only for its body",
    ),
    Setting("task_eager_propagates", boolean, False, "let eager tasks raise"),
    Setting("task_store_eager_result", boolean, False, "store results of eager tasks too"),
    Setting("task_time_limit", optional(seconds()), None, "seconds after which a task's process is killed"),
    Setting("task_soft_time_limit", optional(seconds()), None, "seconds after which SoftTimeLimitExceeded is raised"),
    Setting("unknown_task_grace", seconds(above_zero=False), 300.0, "seconds a task that no worker knows is kept"),
    Setting(
        "result_expires", optional(seconds(above_zero=False)), ONE_DAY, "seconds that results are kept; 0: 10 years"
    ),
    Setting("workflow_expires", seconds(), 7 * ONE_DAY, "seconds without a step after which a workflow is forgotten"),
    Setting("workflow_kept", seconds(above_zero=False), 3600.0, "seconds that an ended workflow can be looked at"),
    Setting("result_extended", boolean, False, "store name, arguments, queue and retries with the result"),
    Setting("timezone", zone, "UTC", "IANA zone of schedules and of naive times"),
    Setting("enable_utc", yes_utc, True, "kept for Celery's users"),
    Setting("imports", names, (), "modules that a worker imports"),
    Setting("include", names, (), "more modules that a worker imports"),
    Setting("worker_queues", optional(names), None, "queues that workers consume whose command line names none"),
    Setting("worker_disable_rate_limits", boolean, False, "keep to no rate limits of tasks; those of queues hold"),
    Setting("worker_pool", executor, "process", "the executor: process, thread, asyncio or solo"),
    Setting(
        "worker_concurrency",
        optional(integer(1)),
        None,
        "tasks at once per worker; the number of CPUs unless set, 100 with asyncio",
    ),
    Setting("worker_children", optional(integer(1)), None, "child processes with thread and asyncio; 1 unless set"),
    Setting("worker_max_tasks_per_child", optional(integer(1)), None, "tasks after which a child process is replaced"),
    Setting(
        "worker_max_memory_per_child",
        optional(integer(1)),
        None,
        "KiB of resident memory above which a child process is replaced, after its task",
    ),
    Setting(
        "worker_cancel_timeout",
        seconds(),
        5.0,
        "seconds that a task in a thread or in asyncio may take to end once it must, before its child is killed",
    ),
    Setting(
        "worker_send_task_events", boolean, False, "workers write what happens to tasks and to themselves, as events"
    ),
    Setting("task_send_sent_event", boolean, False, "who sends a task writes an event about it"),
    Setting("otel_enabled", boolean, False, "traces by OpenTelemetry; needs umbel[otel]"),
    Setting("event_log_length", integer(1), 100_000, "events that are kept, about"),
    Setting("event_log_age", seconds(), 6 * 3600.0, "seconds that events are kept"),
    Setting(
        "beat_cron_starting_deadline",
        optional(seconds()),
        None,
        "seconds that a run of a crontab in beat_schedule may be late, after beat was away; however late unless set",
    ),
    Setting("beat_schedule", mapping, {}, "periodic tasks: {name: {task, schedule, args, kwargs, options}}"),
]

KNOWN: Final[dict[str, Setting]] = {setting.name: setting for setting in _LIST}

#: Celery's settings that only tune what is built otherwise here: taken with a warning, without effect.
WITHOUT_EFFECT: Final[dict[str, str]] = {
    **celerysettings.WITHOUT_EFFECT,
    "worker_prefetch_multiplier": "a worker fetches no more than hides the round trip",
    "worker_disable_prefetch": "a worker fetches no more than hides the round trip",
    "broker_connection_retry": "workers always reconnect",
    "broker_connection_retry_on_startup": "workers always reconnect",
    "broker_connection_max_retries": "workers reconnect for as long as it takes",
    "broker_pool_limit": "connections are managed by the library",
    "broker_heartbeat": "liveness needs no AMQP heartbeat",
    "task_publish_retry": "publish_timeout bounds the time",
    "task_publish_retry_policy": "publish_timeout bounds the time",
    "task_protocol": "Umbel has its own wire format",
    "task_queue_max_priority": "every queue has priorities 0 to 9",
    **dict.fromkeys(
        (
            "event_queue_expires",
            "event_queue_ttl",
            "event_queue_prefix",
            "event_queue_exclusive",
            "event_queue_durable",
            "event_exchange",
        ),
        "events are in one stream, see event_log_length and event_log_age",
    ),
    "event_serializer": "events are JSON",
    "redis_max_connections": "connections are managed by the library",
    "result_cache_max": "results are not cached",
    "beat_scheduler": "beat keeps its state in Redis",
    "beat_schedule_filename": "beat keeps its state in Redis",
    "beat_max_loop_interval": "beat sleeps until the next task is due",
    "worker_hijack_root_logger": "the command line sets up logging, in processes of its own",
    "worker_redirect_stdouts": "output goes where it was written to",
    "worker_deduplicate_successful_tasks": "a delivery is acknowledged with its result, in one step",
    "worker_cancel_long_running_tasks_on_connection_loss": "tasks go on while Redis is away",
}

#: Celery's settings whose absence would change what the user's tasks do: refused, with what to do in their place.
REFUSED: Final[dict[str, str]] = {
    **celerysettings.REFUSED,
    "broker_transport_options": "visibility timeouts and the like are not needed; use key_prefix for global_keyprefix",
    "result_backend_transport_options": "use key_prefix for global_keyprefix",
    "task_default_exchange": "there are no exchanges; use task_default_queue and task_routes",
    "task_default_routing_key": "there are no routing keys; use task_default_queue and task_routes",
    "broker_use_ssl": "write rediss:// in broker_url; certificates are named by UMBEL_BROKER_CA_FILE etc.",
    "redis_backend_use_ssl": "write rediss:// in result_backend",
}


def checked(setting: Setting, value: Any, source: str) -> Any:
    """Return the value to use.

    Raises:
        ImproperlyConfigured: the value does not fit, with where it was given.
    """
    try:
        return setting.check(value)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"the setting {setting.name} ({setting.doc}) cannot be {value!r}, as {source} says: give {error}"
        ) from None
