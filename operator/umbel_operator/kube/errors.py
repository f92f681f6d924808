"""What can go wrong with an API request, sorted by what the caller should do next."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

Json = dict[str, Any]

#: The API server answers an apply of an unknown field or a malformed quantity with a 500; trying again cannot help.
_SCHEMA_FAULTS = ("field not declared in schema", "failed to create typed patch object", "failed to convert new object")


class ApiError(Exception):
    """An API request failed."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        #: What the API server said, one sentence.
        self.message = message
        #: HTTP status, 0 where no answer came.
        self.status = status
        #: The machine-readable reason of the answer, e.g. `AlreadyExists`.
        self.reason = reason
        #: Seconds that the server asked to wait.
        self.retry_after = retry_after


class PermanentError(ApiError):
    """The request itself is wrong: it fails until somebody changes the resource."""


class TemporaryError(ApiError):
    """The API server could not do it now: try again later, not before `retry_after`."""


class ConflictError(ApiError):
    """Somebody else wrote first: look again, then decide."""


class AlreadyExistsError(ConflictError):
    """An object of this name is there already."""


class GoneError(ApiError):
    """The object, or the version of it that was asked for, is not there."""


class ForbiddenError(ApiError):
    """The operator's account may not do this."""


class NamespaceTerminatingError(ForbiddenError):
    """The namespace is going away: nothing can be created in it, and nothing needs to be."""


class QuotaExceededError(ForbiddenError):
    """A ResourceQuota of the namespace leaves no room."""


class NotLeadingError(ApiError):
    """The write was not sent: this operator does not hold the Lease."""


def error_of(status: int, headers: Mapping[str, str], body: Json | str, what: str) -> ApiError:
    """Make the error for an answer that is no success.

    what: the request in words, e.g. `patch deployments shop/mail-worker`; it opens the message.
    """
    answer: Json = body if isinstance(body, dict) else {}
    said = str(answer.get("message") or (body if isinstance(body, str) and body else "no message")).strip()
    reason = str(answer.get("reason") or "")
    kind = _kind_of(status, reason, said, answer)
    return kind(
        f"{what}: {said} (HTTP {status})",
        status=status,
        reason=reason,
        retry_after=retry_after(headers) or _details_seconds(answer),
    )


def _kind_of(status: int, reason: str, said: str, answer: Json) -> type[ApiError]:
    if status == 409:
        return AlreadyExistsError if reason == "AlreadyExists" else ConflictError
    if status in (404, 410):
        return GoneError
    if status == 403:
        causes = [str(cause.get("reason")) for cause in (answer.get("details") or {}).get("causes") or ()]
        if "NamespaceTerminating" in causes or "is being terminated" in said:
            return NamespaceTerminatingError
        return QuotaExceededError if "exceeded quota" in said else ForbiddenError
    if status in (401, 408, 429):
        return TemporaryError
    if status >= 500:
        return PermanentError if any(fault in said for fault in _SCHEMA_FAULTS) else TemporaryError
    return PermanentError


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Read a Retry-After header: seconds to wait, or None where there is none that makes sense.

    now: Unix time, needed where the header holds a date.
    """
    value = next((v for k, v in headers.items() if k.lower() == "retry-after"), "").strip()
    if not value:
        return None
    if value.isdigit():
        return float(value)
    if now is None:
        return None
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (TypeError, ValueError):
        return None


def _details_seconds(answer: Json) -> float | None:
    seconds = (answer.get("details") or {}).get("retryAfterSeconds")
    return float(seconds) if isinstance(seconds, int) and seconds > 0 else None
