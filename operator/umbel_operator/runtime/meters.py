"""What can be read from the operator's ``/metrics``: names, labels, meanings. The reference is generated from this table."""

from __future__ import annotations

from typing import Final

from umbel.meters import Meter

RECONCILES: Final = Meter(
    "umbel_operator_reconcile_total",
    "counter",
    ("kind", "result"),
    "Reconciles. `result` is `changed`, `unchanged`, `failed` (an action was refused), `crashed` (a fault of ours) or `gone`.",
)
SECONDS: Final = Meter("umbel_operator_reconcile_seconds", "histogram", ("kind",), "How long reconciles took.")
REQUESTS: Final = Meter(
    "umbel_operator_api_requests_total",
    "counter",
    ("verb", "resource", "code"),
    "Requests to the API server; `code` 0 means no answer.",
)
LAST_EVENT: Final = Meter(
    "umbel_operator_last_event_timestamp_seconds", "gauge", ("kind",), "When the last watch event of a kind came in."
)
OBSERVE_ERRORS: Final = Meter(
    "umbel_operator_observe_errors_total",
    "counter",
    ("kind",),
    "Watch events that could not be taken in; each is answered with a list.",
)
STATUS_WRITES: Final = Meter("umbel_operator_status_writes_total", "counter", ("kind",), "Writes of a status.")
BEAT_POLLS: Final = Meter(
    "umbel_operator_beat_polls_total", "counter", ("result",), "Polls of beat: `changed`, `unchanged`, `failed`."
)
BEAT_STALE: Final = Meter(
    "umbel_operator_beat_stale",
    "gauge",
    ("namespace", "broker"),
    "1 while a Broker's beat has been silent for three polls, or never answered: nothing is scaled by its queues.",
)
LEADER: Final = Meter(
    "umbel_operator_leader", "gauge", (), "1 while this operator works, 0 while it waits for the Lease of another."
)
BUILD_INFO: Final = Meter("umbel_operator_build_info", "gauge", ("version",), "Always 1: the version that runs.")
DEPTH: Final = Meter("umbel_operator_workqueue_depth", "gauge", ("kind",), "Resources that wait to be looked at.")
OLDEST: Final = Meter("umbel_operator_workqueue_oldest_seconds", "gauge", (), "How long the first of them has waited.")
RETRIES: Final = Meter(
    "umbel_operator_workqueue_retries", "gauge", (), "Looks that were put off after an error, since the start."
)

ALL: Final = (
    RECONCILES,
    SECONDS,
    DEPTH,
    OLDEST,
    RETRIES,
    REQUESTS,
    STATUS_WRITES,
    LAST_EVENT,
    OBSERVE_ERRORS,
    BEAT_POLLS,
    BEAT_STALE,
    LEADER,
    BUILD_INFO,
)
