"""Hold a document against its kind as the API server would: the CRD's schema, then the rules over several fields."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from jsonschema import Draft202012Validator
from pydantic import ValidationError

from umbel_operator.api.base import Model, Resource
from umbel_operator.api.crd import root_schema
from umbel_operator.api.kinds import BY_NAME
from umbel_operator.api.names import API_VERSION, GROUP
from umbel_operator.local.documents import Document, Problem, Steps

#: Names of objects and of namespaces.
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
#: How a strict parse tells of fields that it does not know.
_UNKNOWN_FIELDS: Final = re.compile(r"unknown field (?P<unknown>.+); known here: (?P<known>.+)")
#: How the schema's validator tells of a field that must be there.
_MISSING: Final = re.compile(r"'(?P<name>.+)' is a required property")
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def is_ours(document: Document) -> bool:
    """Tell whether the document means one of our kinds, however wrongly."""
    return document.api_version.partition("/")[0] == GROUP


def check(document: Document) -> list[Problem]:
    """Return what is wrong with one of our objects; nothing where the API server would take it as a new one."""
    kind = BY_NAME.get(document.kind)
    if document.api_version != API_VERSION or kind is None:
        return [_unknown(document)]
    found = list(_name_problems(document))
    seen = set()
    for steps, message in (*_schema_problems(kind, document.body), *_model_problems(kind, document.body)):
        if steps not in seen:
            seen.add(steps)
            found.append(_problem(document, steps, message))
    return found


def check_change(old: Mapping[str, Any], new: Document) -> list[Problem]:
    """Return which fields changed that may not change after creation; `old` is the object as it was taken."""
    kind = BY_NAME[new.kind]
    before, after = (_spec(kind, body) for body in (old, new.body))
    found = []
    for rule in type(after).rules:
        # The only rules without a check of their own are those that compare with the stored object.
        for name in set(re.findall(r"oldSelf\.(\w+)", rule.cel or "")):
            if before.to_json().get(name) != after.to_json().get(name):
                message = f"{rule.message}; delete the object and create it anew, or give it another name"
                found.append(_problem(new, ("spec", name), message))
    return found


def _unknown(document: Document) -> Problem:
    if document.api_version != API_VERSION:
        message = f"apiVersion {document.api_version!r} is not known here; write {API_VERSION}"
        return _problem(document, ("apiVersion",), message)
    near = difflib.get_close_matches(document.kind, BY_NAME, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the kinds are {', '.join(BY_NAME)}"
    return _problem(document, ("kind",), f"there is no kind {document.kind!r} in {API_VERSION}; {hint}")


def _name_problems(document: Document) -> Iterator[Problem]:
    if not _NAME.fullmatch(document.name):
        message = (
            f"metadata.name is {document.name!r}; it must consist of lower case letters, digits and '-', and begin "
            "and end with a letter or digit"
        )
        yield _problem(document, ("metadata", "name"), message)
    if not _LABEL.fullmatch(document.namespace):
        message = f"metadata.namespace is {document.namespace!r}; it must consist of lower case letters, digits and '-'"
        yield _problem(document, ("metadata", "namespace"), message)


def _schema_problems(kind: type[Resource], body: Mapping[str, Any]) -> Iterator[tuple[Steps, str]]:
    without_status = {key: value for key, value in body.items() if key != "status"}
    for error in _validator(kind).iter_errors(_without_nulls(without_status)):
        missing = _MISSING.match(error.message) if error.validator == "required" else None
        if missing is not None:
            yield (*error.absolute_path, missing["name"]), "is missing"
        else:
            yield tuple(error.absolute_path), error.message


def _model_problems(kind: type[Resource], body: Mapping[str, Any]) -> Iterator[tuple[Steps, str]]:
    known = {key: value for key, value in body.items() if key not in ("apiVersion", "kind", "status")}
    try:
        kind.model_validate(known, context={"strict": True})
    except ValidationError as problem:
        for error in problem.errors(include_url=False):
            steps, message = tuple(error["loc"]), error["msg"].removeprefix("Value error, ")
            unknown = _UNKNOWN_FIELDS.match(message)
            if unknown is not None:
                yield from _unknown_fields(steps, unknown["unknown"].split(", "), unknown["known"].split(", "))
                continue
            seen = error.get("input")
            yield steps, message + (f" (got {seen!r})" if isinstance(seen, str | int | float | bool) else "")


def _unknown_fields(steps: Steps, unknown: list[str], known: list[str]) -> Iterator[tuple[Steps, str]]:
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
        yield (*steps, name), f"there is no such field; {hint}"


@cache
def _validator(kind: type[Resource]) -> Draft202012Validator:
    return Draft202012Validator(root_schema(kind))


def _spec(kind: type[Resource], body: Mapping[str, Any]) -> Model:
    resource: Any = kind.model_validate({"metadata": body["metadata"], "spec": body.get("spec") or {}})
    spec: Model = resource.spec
    return spec


def _without_nulls(value: Any) -> Any:
    """Drop what is null: to the API, that is the same as absent."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _problem(document: Document, steps: Steps, message: str) -> Problem:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")
    if not path or message.startswith(path):
        return Problem(document.place(steps), f"{document.title}: {message}")
    colon = "" if message == "is missing" else ":"
    return Problem(document.place(steps), f"{document.title}: {path}{colon} {message}")
