"""The exceptions under the module name that Celery's users import them from; `umbel.errors` is where they live."""

from __future__ import annotations

from umbel.errors import (
    AlreadyRegistered,
    BackendError,
    ContentDisallowed,
    Ignore,
    ImproperlyConfigured,
    IncompleteStream,
    InvalidTaskError,
    MaxRetriesExceededError,
    NotRegistered,
    OperationalError,
    QueueNotFound,
    Reject,
    Retry,
    SecurityError,
    SoftTimeLimitExceeded,
    TaskError,
    TaskPredicate,
    TaskRevokedError,
    Terminated,
    TimeLimitExceeded,
    TimeoutError,
    UmbelError,
    UmbelWarning,
    WorkerLostError,
)

__all__ = [
    "AlreadyRegistered",
    "BackendError",
    "BackendGetMetaError",
    "BackendStoreError",
    "CDeprecationWarning",
    "CPendingDeprecationWarning",
    "CeleryError",
    "CeleryWarning",
    "ContentDisallowed",
    "DuplicateNodenameWarning",
    "FixupWarning",
    "Ignore",
    "ImproperlyConfigured",
    "IncompleteStream",
    "InvalidTaskError",
    "MaxRetriesExceededError",
    "NotConfigured",
    "NotRegistered",
    "OperationalError",
    "QueueNotFound",
    "Reject",
    "Retry",
    "SecurityError",
    "SecurityWarning",
    "SoftTimeLimitExceeded",
    "TaskError",
    "TaskPredicate",
    "TaskRevokedError",
    "Terminated",
    "TimeLimitExceeded",
    "TimeoutError",
    "WorkerLostError",
    "WorkerShutdown",
    "WorkerTerminate",
]

CeleryError = UmbelError
CeleryWarning = UmbelWarning


# Kept so that modules which name them in an ``except`` or a filter can be imported: nothing here raises them.


class BackendGetMetaError(BackendError):
    """Never raised: a result that cannot be read is an `OperationalError` or a `BackendError`."""


class BackendStoreError(BackendError):
    """Never raised: a worker stores a result with the acknowledgement, and tries until it is done."""


class WorkerTerminate(SystemExit):
    """Raise it, with an exit code, in a task, a receiver of a signal or a command to have the worker end: what runs goes back."""


class WorkerShutdown(SystemExit):
    """Raise it, with an exit code, in a task, a receiver of a signal or a command to have the worker end: what runs may end."""


class CPendingDeprecationWarning(PendingDeprecationWarning):
    """Never shown."""


class CDeprecationWarning(DeprecationWarning):
    """Never shown."""


class FixupWarning(CeleryWarning):
    """Never shown."""


class NotConfigured(CeleryWarning):
    """Never shown: an app without a broker is refused."""


class DuplicateNodenameWarning(CeleryWarning):
    """Never shown: workers of one name are told apart by their owners."""


class SecurityWarning(CeleryWarning):
    """Never shown: a worker logs what it accepts that is dangerous."""
