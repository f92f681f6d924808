"""Celery's settings that are none of Umbel's: what becomes of them, and why."""

from __future__ import annotations

from typing import Any, Final

_AMQP: Final = "it is of AMQP"
_RESULT_STEP: Final = "a result is stored with the acknowledgement, which a worker repeats until it is done"
_CONTROL: Final = "remote control has no queues"
_EVENTS: Final = "events have no queues"
_POOL: Final = "children are forked by a process that does nothing else"
_CONNECTIONS: Final = "connections are managed by the library"
_LOG: Final = "UMBEL_LOG_FORMAT and the signal setup_logging say how lines look"
_URL: Final = "write it into {}: redis://user:password@host:port/database"

#: What only tunes something that is built otherwise here: taken with a warning that says this.
WITHOUT_EFFECT: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            "broker_heartbeat_checkrate",
            "broker_login_method",
            "broker_native_delayed_delivery_queue_type",
            "task_create_missing_queue_type",
            "task_create_missing_queue_exchange_type",
            "task_default_delivery_mode",
            "task_default_exchange_type",
            "task_default_queue_type",
            "result_exchange",
            "result_exchange_type",
            "result_persistent",
            "worker_detect_quorum_queues",
        ),
        _AMQP,
    ),
    **dict.fromkeys(
        (
            "result_backend_always_retry",
            "result_backend_max_retries",
            "result_backend_base_sleep_between_retries_ms",
            "result_backend_max_sleep_between_retries_ms",
        ),
        _RESULT_STEP,
    ),
    **dict.fromkeys(
        (
            "control_exchange",
            "control_queue_durable",
            "control_queue_exclusive",
            "control_queue_expires",
            "control_queue_ttl",
        ),
        _CONTROL,
    ),
    **dict.fromkeys(
        (
            "event_exchange",
            "event_queue_durable",
            "event_queue_exclusive",
            "event_queue_expires",
            "event_queue_prefix",
            "event_queue_ttl",
            "event_serializer",
        ),
        _EVENTS,
    ),
    **dict.fromkeys(
        ("worker_lost_wait", "worker_proc_alive_timeout", "worker_pool_putlocks", "worker_pool_start_method"), _POOL
    ),
    **dict.fromkeys(
        (
            "broker_pool_acquire_timeout",
            "redis_retry_on_timeout",
            "redis_socket_connect_timeout",
            "redis_socket_keepalive",
            "redis_socket_timeout",
        ),
        _CONNECTIONS,
    ),
    **dict.fromkeys(
        (
            "worker_log_color",
            "worker_log_format",
            "worker_log_datefmt",
            "worker_task_log_format",
            "worker_task_log_datefmt",
        ),
        _LOG,
    ),
    **dict.fromkeys(("worker_timer", "worker_timer_precision"), "a worker has no timers of its own"),
    **dict.fromkeys(
        ("result_chord_join_timeout", "result_chord_retry_interval", "result_chord_expires"),
        "workers advance workflows, in Redis; nothing polls",
    ),
    "beat_sync_every": "beat writes its state in the step that sends",
    "beat_remote_control_max_tick_age": "/livez and /readyz of beat say how it is",
    "broker_channel_error_retry": "workers always reconnect",
    "broker_connection_timeout": "publish_timeout bounds the time of a call",
    "broker_failover_strategy": "Sentinels and clusters are named by broker_url",
    "task_repr_maxlevels": "the option resultrepr_maxsize of tasks says how much is shown",
    "worker_autoscaler": "the scaler of WorkerPools changes the number of pods",
    "worker_enable_prefetch_count_reduction": "a worker fetches no more than hides the round trip",
    "worker_enable_soft_shutdown_on_idle": "an idle worker holds nothing",
    "worker_eta_task_limit": "delayed tasks wait in Redis, not in a worker",
    "worker_redirect_stdouts_level": "output goes where it was written to",
    "worker_soft_shutdown_timeout": "`umbel worker --drain-timeout` bounds how long a worker waits for its tasks",
    "worker_state_db": "revocations are kept in Redis",
}

#: What may be given as long as it says what is so anyway: (these values, what to do in place of another one).
ONLY: Final[dict[str, tuple[tuple[Any, ...], str]]] = {
    **dict.fromkeys(
        ("task_acks_on_failure", "task_acks_on_timeout", "task_acks_on_failure_or_timeout"),
        ((True, None), "a failed task is acknowledged; raise Reject(requeue=True) in it to have it again"),
    ),
    "task_retry_on_worker_lost": (
        (True, None),
        "a task whose worker dies runs again; task_acks_late=False is for at most once",
    ),
    "task_remote_tracebacks": ((False, None), "a failure keeps the worker's traceback as text: result.traceback"),
    "worker_pool_restarts": (
        (False, None),
        "`umbel worker --autoreload` is for development; roll workers out otherwise",
    ),
    "worker_enable_remote_control": (
        (True, None),
        "remote control costs no connection of its own; who may write to Redis may command workers",
    ),
    "beat_enable_remote_control": ((False, None), "/livez and /readyz of beat say how it is"),
}

#: What the user would miss: refused, with what to do in its place.
REFUSED: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("broker_host", "broker_port", "broker_user", "broker_password", "broker_vhost", "broker_transport"),
        _URL.format("broker_url"),
    ),
    **dict.fromkeys(
        ("redis_host", "redis_port", "redis_db", "redis_username", "redis_password"), _URL.format("result_backend")
    ),
    **dict.fromkeys(
        ("broker_read_url", "broker_write_url"),
        "a worker writes to the queue that it reads, in one call; give broker_url",
    ),
    **dict.fromkeys(("cache_backend", "cache_backend_options"), "a cache forgets results when it likes; use Redis"),
    "result_failure_expires": "failures are kept as long as other results: result_expires",
    "worker_agent": "parts of a worker cannot be replaced",
    "worker_consumer": "parts of a worker cannot be replaced",
}

#: Beginnings of the settings of result backends that there are not.
_BACKENDS: Final = (
    "arangodb_",
    "azureblockblob_",
    "cassandra_",
    "cosmosdbsql_",
    "couchbase_",
    "elasticsearch_",
    "gcs_",
    "mongodb_",
    "s3_",
)


def refusal(name: str, value: Any) -> str | None:
    """Return what to do in place of a setting that Umbel cannot have with this value, None where it is not refused here."""
    if name in ONLY and value not in ONLY[name][0]:
        return ONLY[name][1]
    if name.startswith(_BACKENDS):
        return "there is no such result backend; give redis:// in result_backend"
    return None
