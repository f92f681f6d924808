"""The fields that this release does not act on, with what happens instead: for conditions and for the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Gap:
    """A field, or a value of one, that is accepted and not acted on."""

    field: str
    instead: str
    #: Tells whether a resource's spec makes use of it.
    used: Callable[[Any], bool]

    def __str__(self) -> str:
        return f"{self.field} is not acted on yet: {self.instead}"


GAPS: Final[dict[str, tuple[Gap, ...]]] = {"Broker": (), "TaskQueue": (), "WorkerPool": (), "Schedule": ()}
