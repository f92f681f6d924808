"""Options that a queue gives to tasks which have none of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class TaskDefaults:
    """What holds where neither the call, nor the task, nor the app's settings say anything.

    Args:
        time_limit: seconds after which a running task is ended.
        max_retries: how often a task is retried.
        result_ttl: seconds that results are kept.
    """

    time_limit: float | None = None
    max_retries: int | None = None
    result_ttl: float | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> TaskDefaults:
        """Return the defaults that a mapping names; what a later release adds is left out."""
        return cls(given.get("time_limit"), given.get("max_retries"), given.get("result_ttl"))

    @classmethod
    def decode(cls, raw: bytes) -> TaskDefaults:
        """Return what `encode` made bytes of."""
        return cls.of(orjson.loads(raw))

    def encode(self) -> bytes:
        """Return the defaults as a queue keeps them, and hands them to workers."""
        return orjson.dumps({name: value for name, value in asdict(self).items() if value is not None})
