"""Why Redis cannot be reached, in the words of the condition."""

from __future__ import annotations

import ssl

import pytest

from umbel.beat.redisstate import look_at_redis, reason_of
from umbel.broker.redis import RedisBroker
from umbel.errors import OperationalError
from umbel.redis.connection import ServerRefused


def caused_by(cause: BaseException) -> OperationalError:
    error = OperationalError("Redis at h:6379 cannot be reached within 5 s")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (caused_by(ConnectionRefusedError(111, "Connection refused")), "ConnectionRefused"),
        (caused_by(TimeoutError()), "ConnectionRefused"),
        (caused_by(ssl.SSLCertVerificationError("certificate verify failed")), "TLSFailed"),
        (OperationalError("Redis at h:6379 refuses the credentials (WRONGPASS)"), "AuthFailed"),
        (ServerRefused("NOAUTH Authentication required."), "AuthFailed"),
        (ServerRefused("OOM command not allowed"), "ConnectionRefused"),
    ],
)
def test_the_reason_is_found_in_the_cause(error: OperationalError, reason: str) -> None:
    assert reason_of(error) == reason


def test_nobody_listens() -> None:
    broker = RedisBroker("redis://127.0.0.1:1/0", publish_timeout=0.2)
    state = look_at_redis(broker)
    broker.close()
    assert (state.ok, state.reason) == (False, "ConnectionRefused")
    assert state.error is not None
    assert "127.0.0.1:1" in state.error
