"""By what a task is revoked: its id, or one of its stamps."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

import orjson

_STAMP: Final = "stamp:"


def stamp_marks(stamps: Mapping[str, Any]) -> list[str]:
    """Return what stands for stamps where ids are revoked: one mark for each value.

    Args:
        stamps: each name with a value, or a list of them.
    """
    return [_mark(name, value) for name, values in stamps.items() for value in _listed(values)]


def is_stamped(headers: Mapping[str, Any], marks: Container[str]) -> bool:
    """Tell whether a message that bears stamps has one of these."""
    return any(mark in marks for mark in stamp_marks(headers["stamps"]))


def _mark(name: str, value: Any) -> str:
    return f"{_STAMP}{name}={orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS).decode()}"


def _listed(values: Any) -> Iterable[Any]:
    return values if isinstance(values, (list, tuple, set, frozenset)) else [values]
