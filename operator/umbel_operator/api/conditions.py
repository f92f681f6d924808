"""Every condition and reason that the operator writes, with its status and meaning: the one place for them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from umbel_operator.api.gaps import GAPS

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(StrEnum):
    """Types of conditions."""

    READY = "Ready"
    ACCEPTED = "Accepted"
    REACHABLE = "Reachable"
    BEAT_AVAILABLE = "BeatAvailable"
    CONFIG_LOADED = "ConfigLoaded"
    CONSUMED = "Consumed"
    DRAINING = "Draining"
    AVAILABLE = "Available"
    PROGRESSING = "Progressing"
    QUEUES_RESOLVED = "QueuesResolved"
    SCALING_ACTIVE = "ScalingActive"
    LOADED = "Loaded"
    STOPPED = "Stopped"


class Reason(StrEnum):
    """Reasons of conditions; each is part of the API."""

    ACCEPTED = "Accepted"
    NOT_YET_SUPPORTED = "NotYetSupported"
    UNREADABLE = "Unreadable"
    READY = "Ready"
    CONNECTED = "Connected"
    CONNECTION_REFUSED = "ConnectionRefused"
    AUTH_FAILED = "AuthFailed"
    TLS_FAILED = "TLSFailed"
    STATUS_STALE = "StatusStale"
    BEAT_READY = "BeatReady"
    BEAT_NOT_READY = "BeatNotReady"
    NO_LEADER = "NoLeader"
    LOADED = "Loaded"
    PENDING = "Pending"
    LOAD_FAILED = "LoadFailed"
    IN_USE = "InUse"
    NAME_CONFLICT = "NameConflict"
    RESOURCE_CONFLICT = "ResourceConflict"
    TEMPLATE_INVALID = "TemplateInvalid"
    BROKER_NOT_FOUND = "BrokerNotFound"
    BROKER_NOT_READY = "BrokerNotReady"
    CONFIG_PENDING = "ConfigPending"
    CONSUMERS_PRESENT = "ConsumersPresent"
    NO_WORKER_POOL = "NoWorkerPool"
    ALL_POOLS_SUSPENDED = "AllPoolsSuspended"
    HELD = "Held"
    WAITING_UNTIL_EMPTY = "WaitingUntilEmpty"
    PURGING = "Purging"
    MINIMUM_REPLICAS_AVAILABLE = "MinimumReplicasAvailable"
    MINIMUM_REPLICAS_UNAVAILABLE = "MinimumReplicasUnavailable"
    SCALED_TO_ZERO = "ScaledToZero"
    SUSPENDED = "Suspended"
    ROLLOUT_IN_PROGRESS = "RolloutInProgress"
    ROLLOUT_COMPLETE = "RolloutComplete"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    QUOTA_EXCEEDED = "QuotaExceeded"
    IMAGE_PULL_FAILING = "ImagePullFailing"
    RESOLVED = "Resolved"
    QUEUE_NOT_FOUND = "QueueNotFound"
    QUEUE_OTHER_BROKER = "QueueOtherBroker"
    FIXED = "Fixed"
    SCALING = "Scaling"
    AT_MINIMUM = "AtMinimum"
    AT_MAXIMUM = "AtMaximum"
    SAMPLE_STALE = "SampleStale"
    EXTERNAL = "External"
    SCHEDULED = "Scheduled"
    INVALID_SCHEDULE = "InvalidSchedule"
    UNKNOWN_TIME_ZONE = "UnknownTimeZone"
    QUEUE_CLOSED = "QueueClosed"
    PAYLOAD_TOO_LARGE = "PayloadTooLarge"
    STOP_REACHED = "StopReached"
    NOT_REACHED = "NotReached"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reason says: the status that it always goes with, and one sentence for people."""

    status: ConditionStatus
    text: str


Table = dict[Condition, dict[Reason, Meaning]]


def _yes(text: str) -> Meaning:
    return Meaning("True", text)


def _no(text: str) -> Meaning:
    return Meaning("False", text)


def _unknown(text: str) -> Meaning:
    return Meaning("Unknown", text)


_ACCEPTED: dict[Reason, Meaning] = {
    Reason.ACCEPTED: _yes("Every field is acted on."),
    Reason.NOT_YET_SUPPORTED: _no(
        "A field is set that this release does not act on; the message names it and what happens instead."
    ),
    Reason.UNREADABLE: _no("The object cannot be read by this release; what was built for it stays as it is."),
}


def _accepted(kind: str) -> dict[Reason, Meaning]:
    """Return the reasons of Accepted; a kind without a field that is not acted on has no reason to say so."""
    return {reason: text for reason, text in _ACCEPTED.items() if GAPS[kind] or reason is not Reason.NOT_YET_SUPPORTED}


CONDITIONS: Final[dict[str, Table]] = {
    "Broker": {
        Condition.READY: {
            Reason.READY: _yes("Redis answers, beat runs and works with a configuration."),
            Reason.UNREADABLE: _no("The object cannot be read by this release."),
            Reason.NAME_CONFLICT: _no("An older Broker uses the same Redis database with the same key prefix."),
            Reason.RESOURCE_CONFLICT: _no("An object with the name of a child exists and belongs to someone else."),
            Reason.TEMPLATE_INVALID: _no("The API server refuses what was built for beat."),
            Reason.IN_USE: _no("Deletion waits for the TaskQueues and WorkerPools that refer to this Broker."),
            Reason.CONNECTION_REFUSED: _no("beat does not reach Redis."),
            Reason.AUTH_FAILED: _no("Redis refuses user name or password."),
            Reason.TLS_FAILED: _no("The TLS handshake with Redis fails."),
            Reason.BEAT_NOT_READY: _no("No beat pod is ready."),
            Reason.NO_LEADER: _no("No beat holds the lock in Redis."),
            Reason.PENDING: _no("beat has not loaded its first configuration, or lags for more than five minutes."),
            Reason.LOAD_FAILED: _no(
                "beat cannot load the configuration, for more than five minutes or from the start."
            ),
            Reason.STATUS_STALE: _unknown("beat has not answered for three polls."),
        },
        Condition.ACCEPTED: _accepted("Broker"),
        Condition.REACHABLE: {
            Reason.CONNECTED: _yes("beat is connected to Redis."),
            Reason.CONNECTION_REFUSED: _no("beat does not reach Redis at the address."),
            Reason.AUTH_FAILED: _no("Redis refuses user name or password."),
            Reason.TLS_FAILED: _no("The TLS handshake with Redis fails."),
            Reason.STATUS_STALE: _unknown("beat has not answered for three polls."),
        },
        Condition.BEAT_AVAILABLE: {
            Reason.BEAT_READY: _yes("A beat pod is ready and one holds the lock."),
            Reason.BEAT_NOT_READY: _no("No beat pod is ready."),
            Reason.NO_LEADER: _no("beat pods are ready, but none holds the lock in Redis."),
        },
        Condition.CONFIG_LOADED: {
            Reason.LOADED: _yes("beat works with the newest configuration."),
            Reason.PENDING: _no("beat has not loaded the newest configuration yet."),
            Reason.LOAD_FAILED: _no("beat cannot load the newest configuration."),
        },
    },
    "TaskQueue": {
        Condition.READY: {
            Reason.READY: _yes("The queue takes and hands out tasks by its settings."),
            Reason.UNREADABLE: _no("The object cannot be read by this release."),
            Reason.BROKER_NOT_FOUND: _no("The Broker does not exist; the message holds the YAML of one."),
            Reason.NAME_CONFLICT: _no("An older TaskQueue of the same Broker has the same queueName and wins."),
            Reason.BROKER_NOT_READY: _no("The Broker is not ready."),
            Reason.CONFIG_PENDING: _no("beat has not loaded these settings yet."),
        },
        Condition.ACCEPTED: {
            **_accepted("TaskQueue"),
            Reason.QUEUE_NOT_FOUND: _no(
                "The TaskQueue of deadLetter.queueRef does not exist: dead tasks are kept here."
            ),
            Reason.QUEUE_OTHER_BROKER: _no(
                "The TaskQueue of deadLetter.queueRef belongs to another Broker: dead tasks are kept here."
            ),
        },
        Condition.CONSUMED: {
            Reason.CONSUMERS_PRESENT: _yes("A WorkerPool serves the queue."),
            Reason.NO_WORKER_POOL: _no("No WorkerPool names this queue."),
            Reason.ALL_POOLS_SUSPENDED: _no("All WorkerPools that name this queue are suspended."),
            Reason.HELD: _no("dispatch is Held."),
        },
        Condition.DRAINING: {
            Reason.WAITING_UNTIL_EMPTY: _yes("Deletion waits until no task is left; new tasks are refused."),
            Reason.PURGING: _yes("Deletion waits until beat has removed the tasks; new tasks are refused."),
        },
    },
    "WorkerPool": {
        Condition.READY: {
            Reason.READY: _yes("The workers are available and all queues resolve."),
            Reason.SCALED_TO_ZERO: _yes("No worker is wanted now, and all queues resolve."),
            Reason.UNREADABLE: _no("The object cannot be read by this release."),
            Reason.BROKER_NOT_FOUND: _no("The Broker does not exist; the message holds the YAML of one."),
            Reason.BROKER_NOT_READY: _no("The Broker has a connection that this release cannot use."),
            Reason.QUEUE_NOT_FOUND: _no("A TaskQueue that the pool names does not exist."),
            Reason.QUEUE_OTHER_BROKER: _no("A TaskQueue that the pool names belongs to another Broker."),
            Reason.TEMPLATE_INVALID: _no("The template, or what was built with it, is refused."),
            Reason.RESOURCE_CONFLICT: _no("An object with the name of a child exists and belongs to someone else."),
            Reason.QUOTA_EXCEEDED: _no("A quota of the namespace leaves no room for the pods."),
            Reason.IMAGE_PULL_FAILING: _no("The image cannot be pulled."),
            Reason.PROGRESS_DEADLINE_EXCEEDED: _no("The rollout made no progress for progressDeadlineSeconds."),
            Reason.MINIMUM_REPLICAS_UNAVAILABLE: _no("Too few workers are available."),
            Reason.SUSPENDED: _no("The pool is suspended."),
        },
        Condition.ACCEPTED: _accepted("WorkerPool"),
        Condition.AVAILABLE: {
            Reason.MINIMUM_REPLICAS_AVAILABLE: _yes("Enough workers are available."),
            Reason.MINIMUM_REPLICAS_UNAVAILABLE: _no("Too few workers are available; the message says what pods say."),
            Reason.SCALED_TO_ZERO: _yes("replicas is 0, so nothing is missing."),
            Reason.SUSPENDED: _no("The pool is suspended."),
        },
        Condition.PROGRESSING: {
            Reason.ROLLOUT_COMPLETE: _yes("All pods have the newest template and are available."),
            Reason.ROLLOUT_IN_PROGRESS: _yes("Pods are being created or replaced."),
            Reason.PROGRESS_DEADLINE_EXCEEDED: _no("The rollout made no progress for progressDeadlineSeconds."),
            Reason.TEMPLATE_INVALID: _no("The template, or what was built with it, is refused."),
            Reason.RESOURCE_CONFLICT: _no("An object with the name of a child exists and belongs to someone else."),
            Reason.QUOTA_EXCEEDED: _no("A quota of the namespace leaves no room for the pods."),
            Reason.IMAGE_PULL_FAILING: _no("The image cannot be pulled."),
            Reason.BROKER_NOT_FOUND: _no("Nothing can be built without the Broker."),
            Reason.BROKER_NOT_READY: _no("Nothing can be built with a connection that this release cannot use."),
            Reason.QUEUE_NOT_FOUND: _no("None of the queues exists, so no worker runs."),
            Reason.QUEUE_OTHER_BROKER: _no("None of the queues belongs to the Broker, so no worker runs."),
        },
        Condition.QUEUES_RESOLVED: {
            Reason.RESOLVED: _yes("All TaskQueues exist and belong to the Broker of the pool."),
            Reason.QUEUE_NOT_FOUND: _no("A TaskQueue does not exist; the others are served."),
            Reason.QUEUE_OTHER_BROKER: _no("A TaskQueue belongs to another Broker; the others are served."),
        },
        Condition.SCALING_ACTIVE: {
            Reason.FIXED: _no("The number of pods is what spec.replicas says."),
            Reason.SCALING: _yes("The built-in scaler follows the load."),
            Reason.AT_MINIMUM: _yes("The load asks for fewer pods than minReplicas."),
            Reason.AT_MAXIMUM: _yes("The load asks for more pods than maxReplicas."),
            Reason.SAMPLE_STALE: _no("The load is not known; the number of pods is held."),
            Reason.EXTERNAL: _yes("An HPA or KEDA object sets spec.replicas."),
            Reason.SUSPENDED: _no("The pool is suspended."),
        },
    },
    "Schedule": {
        Condition.READY: {
            Reason.SCHEDULED: _yes("Tasks are sent when they fall due."),
            Reason.SUSPENDED: _no("The Schedule is suspended."),
            Reason.UNREADABLE: _no("The object cannot be read by this release."),
            Reason.INVALID_SCHEDULE: _no("The trigger does not parse, or can never fire."),
            Reason.UNKNOWN_TIME_ZONE: _no("The time zone is not in the time zone database."),
            Reason.QUEUE_NOT_FOUND: _no("The TaskQueue does not exist."),
            Reason.QUEUE_CLOSED: _no("The TaskQueue's intake is Reject."),
            Reason.PAYLOAD_TOO_LARGE: _no("The task with its arguments is larger than 64 KiB."),
            Reason.BEAT_NOT_READY: _no("beat does not run, or has not loaded this Schedule yet."),
        },
        Condition.ACCEPTED: _accepted("Schedule"),
        Condition.LOADED: {
            Reason.LOADED: _yes("beat works with this generation."),
            Reason.PENDING: _no("beat does not work with this generation yet."),
            Reason.LOAD_FAILED: _no("beat refuses this Schedule."),
        },
        Condition.STOPPED: {
            Reason.STOP_REACHED: _yes("The Schedule has ended by itself."),
            Reason.NOT_REACHED: _no("The Schedule goes on."),
        },
    },
}
