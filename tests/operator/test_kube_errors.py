"""How answers of the API server become errors that say what to do next."""

from typing import Any

import pytest

from umbel_operator.kube.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ForbiddenError,
    GoneError,
    NamespaceTerminatingError,
    PermanentError,
    QuotaExceededError,
    TemporaryError,
    error_of,
    retry_after,
)


def status(message: str, reason: str = "", **details: Any) -> dict[str, Any]:
    return {"kind": "Status", "message": message, "reason": reason, "details": details}


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (400, status("bad", "BadRequest"), PermanentError),
        (401, status("no", "Unauthorized"), TemporaryError),
        (403, status("pods is forbidden", "Forbidden"), ForbiddenError),
        (403, status("x", "Forbidden", causes=[{"reason": "NamespaceTerminating"}]), NamespaceTerminatingError),
        (403, status("because it is being terminated", "Forbidden"), NamespaceTerminatingError),
        (403, status("exceeded quota: small, requested: count/x=1", "Forbidden"), QuotaExceededError),
        (404, status("gone", "NotFound"), GoneError),
        (409, status("exists", "AlreadyExists"), AlreadyExistsError),
        (409, status("the object has been modified", "Conflict"), ConflictError),
        (410, status("too old", "Expired"), GoneError),
        (413, status("too large", "RequestEntityTooLarge"), PermanentError),
        (422, status("spec.x: Invalid value", "Invalid"), PermanentError),
        (429, status("slow down", "TooManyRequests"), TemporaryError),
        (500, status("etcd is down", "InternalError"), TemporaryError),
        (500, status(".spec.foo: field not declared in schema"), PermanentError),
        (503, "no healthy upstream", TemporaryError),
        (504, status("timeout", "Timeout"), TemporaryError),
    ],
)
def test_each_answer_has_its_error(code: int, body: Any, kind: type[ApiError]) -> None:
    error = error_of(code, {}, body, "patch deployments shop/mail-worker")
    assert type(error) is kind
    assert error.status == code
    said = body["message"] if isinstance(body, dict) else body
    assert str(error) == f"patch deployments shop/mail-worker: {said} (HTTP {code})"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Thu, 01 Jan 1970 00:01:40 GMT"}, 40.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=60.0) == seconds


def test_the_wait_may_stand_in_the_body_alone() -> None:
    assert error_of(429, {}, status("later", retryAfterSeconds=3), "list pods").retry_after == 3.0
    assert error_of(429, {"Retry-After": "9"}, status("later", retryAfterSeconds=3), "list pods").retry_after == 9.0
    assert error_of(503, {}, status("later"), "list pods").retry_after is None
