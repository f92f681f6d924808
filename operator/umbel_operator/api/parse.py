"""Read objects of our kinds as the API or a file gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from umbel_operator.api.base import ObjectMeta, Resource

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object of our kinds whose spec this version cannot read: `problem` says why, for a condition."""

    kind: str
    metadata: ObjectMeta
    problem: str
    status: Mapping[str, Any]


def parse(kind: type[R], body: Mapping[str, Any]) -> R | Unreadable:
    """Read an object from the API leniently and never raise.

    Unknown fields are ignored, a status that cannot be read counts as empty, and a spec that cannot be read gives an
    `Unreadable`, which a planner turns into a condition.
    """
    try:
        return kind.model_validate(_shape(body))
    except ValidationError as problem:
        if "status" in body and all(error["loc"][:1] == ("status",) for error in problem.errors()):
            return parse(kind, {key: value for key, value in body.items() if key != "status"})
        return Unreadable(kind.kind_name(), _metadata(body), describe(problem), _mapping(body.get("status")))


def parse_strict(kind: type[R], body: Mapping[str, Any]) -> R:
    """Read an object from a file as strictly as the API server would: bounds, rules over fields, no unknown field.

    Raises `ValueError` with one line for each problem, each with the path of the field and the value seen.
    """
    spec_only = {key: value for key, value in body.items() if key not in ("apiVersion", "kind", "status")}
    try:
        return kind.model_validate(spec_only, context={"strict": True})
    except ValidationError as problem:
        raise ValueError(describe(problem)) from None


def describe(problem: ValidationError) -> str:
    """Say what is wrong with an object, one line a field."""
    lines = []
    for error in problem.errors(include_url=False):
        path = ".".join(str(part) for part in error["loc"]) or "object"
        message = error["msg"].removeprefix("Value error, ")
        seen = error.get("input")
        shown = f" (got {seen!r})" if isinstance(seen, str | int | float | bool) else ""
        lines.append(f"{path}: {message}{shown}")
    return "\n".join(lines)


def _shape(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: body[key] for key in ("metadata", "spec", "status") if body.get(key) is not None}


def _metadata(body: Mapping[str, Any]) -> ObjectMeta:
    metadata = _mapping(body.get("metadata"))
    try:
        return ObjectMeta.model_validate(metadata)
    except ValidationError:
        names = {key: str(metadata[key]) for key in ("name", "namespace", "uid") if metadata.get(key)}
        return ObjectMeta.model_validate(names)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
