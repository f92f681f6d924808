"""The last answer of beat's `GET /v1/status`, read leniently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

#: Polls in a row without an answer after which a sample says nothing about the present.
STALE_AFTER_FAILED_POLLS = 3


@dataclass(frozen=True, slots=True)
class LoadError:
    """An entry of the configuration that beat refuses."""

    kind: str
    name: str
    uid: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class RedisState:
    """How beat gets on with Redis."""

    ok: bool = False
    version: str | None = None
    error: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What beat said, when, and how many polls have failed since; `Sample(None, …)` where it never answered."""

    #: When it answered last; None: never.
    taken_at: datetime | None
    failed_polls: int = 0
    #: Why the last poll failed, for the message.
    poll_error: str | None = None
    leader: bool = False
    loaded_revision: str | None = None
    load_errors: tuple[LoadError, ...] = ()
    redis: RedisState = field(default_factory=RedisState)
    #: Raw objects of /v1/status: by schedule uid, by effective queue name, by pool name.
    schedules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    queues: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def stale(self) -> bool:
        """Tell whether beat has not answered for so long that the sample says nothing about the present."""
        return self.taken_at is None or self.failed_polls >= STALE_AFTER_FAILED_POLLS


def read_sample(body: Mapping[str, Any], taken_at: datetime) -> Sample:
    """Read the body of `GET /v1/status`; what is missing or of another type counts as absent."""
    redis = _object(body.get("redis"))
    revision = body.get("loadedRevision")
    return Sample(
        taken_at=taken_at,
        leader=body.get("leader") is True,
        loaded_revision=str(revision) if revision not in (None, "") else None,
        load_errors=tuple(
            LoadError(*(str(entry.get(key) or "") for key in ("kind", "name", "uid", "reason", "message")))
            for entry in body.get("loadErrors") or ()
            if isinstance(entry, Mapping)
        ),
        redis=RedisState(
            ok=redis.get("ok") is True,
            version=_text(redis.get("version")),
            error=_text(redis.get("error")),
            reason=_text(redis.get("reason")),
        ),
        schedules=_objects(body.get("schedules")),
        queues=_objects(body.get("queues")),
        pools=_objects(body.get("pools")),
    )


def _text(value: Any) -> str | None:
    return str(value) if value else None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Any) -> dict[str, Mapping[str, Any]]:
    return {str(key): item for key, item in _object(value).items() if isinstance(item, Mapping)}
