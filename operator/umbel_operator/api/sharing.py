"""Make the many objects of a cluster small."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)

_SETS: dict[frozenset[str], frozenset[str]] = {}


def shared(model: M) -> M:
    """Let all objects with the same fields set share one set of their names: these sets take half of a parsed Schedule.

    Such an object cannot be copied with changes (`model_copy(update=…)`).
    """
    for value in model.__dict__.values():
        _share(value)
    names = frozenset(model.model_fields_set)
    object.__setattr__(model, "__pydantic_fields_set__", _SETS.setdefault(names, names))
    return model


def _share(value: Any) -> None:
    if isinstance(value, BaseModel):
        shared(value)
    elif isinstance(value, list):
        for item in value:
            _share(item)
