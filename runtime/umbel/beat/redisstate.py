"""How beat gets on with Redis, in the words of the Broker's condition ``Reachable``."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from umbel.broker.base import Broker
from umbel.errors import OperationalError
from umbel.redis.connection import ServerRefused

#: The first words of answers that say: not with these credentials.
REFUSALS = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})


@dataclass(frozen=True, slots=True)
class RedisState:
    """As ``/v1/status`` shows it. ``reason`` is ConnectionRefused, AuthFailed or TLSFailed, None when all is well."""

    ok: bool = False
    version: str | None = None
    error: str | None = "not asked yet"
    reason: str | None = "ConnectionRefused"


def look_at_redis(broker: Broker) -> RedisState:
    """Ask Redis for its version; never raises for what Redis or the way to it does."""
    try:
        return RedisState(True, str(broker.ping()["version"]), None, None)
    except OperationalError as error:
        return RedisState(False, None, str(error), reason_of(error))


def reason_of(error: BaseException) -> str:
    """Return the condition's reason for an error, by what caused it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError) or "SSL" in str(seen):
            return "TLSFailed"
        if (isinstance(seen, ServerRefused) and seen.code in REFUSALS) or "credentials" in str(seen):
            return "AuthFailed"
        seen = seen.__cause__ or seen.__context__
    return "ConnectionRefused"
