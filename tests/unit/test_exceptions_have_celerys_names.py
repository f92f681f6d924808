"""`umbel.exceptions`: what Celery's users import, with the bases that they know."""

from __future__ import annotations

import pytest

from umbel import exceptions

#: exception -> a base that code which catches it relies on
BASES = {
    "Retry": "TaskPredicate",
    "Ignore": "TaskPredicate",
    "Reject": "TaskPredicate",
    "TaskPredicate": "CeleryError",
    "QueueNotFound": "TaskError",
    "IncompleteStream": "TaskError",
    "NotRegistered": "TaskError",
    "AlreadyRegistered": "TaskError",
    "TimeoutError": "TaskError",
    "MaxRetriesExceededError": "TaskError",
    "TaskRevokedError": "TaskError",
    "InvalidTaskError": "TaskError",
    "TaskError": "CeleryError",
    "BackendGetMetaError": "BackendError",
    "BackendStoreError": "BackendError",
    "SecurityError": "CeleryError",
    "ImproperlyConfigured": "CeleryError",
    "FixupWarning": "CeleryWarning",
    "NotConfigured": "CeleryWarning",
    "DuplicateNodenameWarning": "CeleryWarning",
    "SecurityWarning": "CeleryWarning",
}


@pytest.mark.parametrize(("name", "base"), BASES.items())
def test_an_exception_has_its_base(name: str, base: str) -> None:
    assert issubclass(getattr(exceptions, name), getattr(exceptions, base))


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("CeleryError", Exception),
        ("CeleryWarning", UserWarning),
        ("QueueNotFound", KeyError),
        ("NotRegistered", KeyError),
        ("TimeoutError", TimeoutError),
        ("WorkerShutdown", SystemExit),
        ("WorkerTerminate", SystemExit),
        ("CDeprecationWarning", DeprecationWarning),
        ("CPendingDeprecationWarning", PendingDeprecationWarning),
    ],
)
def test_an_exception_has_its_builtin_base(name: str, builtin: type[BaseException]) -> None:
    assert issubclass(getattr(exceptions, name), builtin)


def test_all_that_is_exported_is_there() -> None:
    assert all(isinstance(getattr(exceptions, name), type) for name in exceptions.__all__)
