"""Stamps: headers that all parts of a workflow bear, by which its tasks are found and revoked together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from umbel.canvas.chains import chain
from umbel.canvas.chords import chord
from umbel.canvas.groups import group
from umbel.canvas.lazy import Lazy
from umbel.canvas.plain import as_list
from umbel.canvas.signature import Signature, as_signature

S = TypeVar("S", bound=Signature[Any])

_NAMES: Final = "stamped_headers"
#: Options by which parts of a workflow know their place; calls have none of them.
_PLACES: Final = frozenset({"group_id", "group_index", "chord", "chord_place", "replaced_task_nesting"})

Stamps = dict[str, Any]


class StampingVisitor(ABC):
    """Says which stamps each part of a workflow gets: subclass it, and give it to `Signature.stamp`.

    Each method gets a part, and the stamps of what it belongs to, and returns a dict of stamps. Where the dict has
    ``stamped_headers``, these are the names of the stamps in it; else all of them are stamps.
    """

    @abstractmethod
    def on_signature(self, sig: Signature[Any], **headers: Any) -> Mapping[str, Any] | None:
        """Return the stamps of a call of one task."""

    def on_group_start(self, group: group[Any], **headers: Any) -> Mapping[str, Any] | None:
        """Return the stamps of all members of a group."""
        return {}

    def on_group_end(self, group: group[Any], **headers: Any) -> None:  # noqa: B027 - may be overridden
        """Take note that all members of a group were stamped."""

    def on_chain_start(self, chain: chain[Any], **headers: Any) -> Mapping[str, Any] | None:
        """Return the stamps of all parts of a chain."""
        return {}

    def on_chain_end(self, chain: chain[Any], **headers: Any) -> None:  # noqa: B027 - may be overridden
        """Take note that all parts of a chain were stamped."""

    def on_chord_header_start(self, sig: chord[Any], **header: Any) -> Mapping[str, Any] | None:
        """Return the stamps of a chord's header; those of a group unless overridden."""
        return self.on_group_start(group(sig.tasks), **header)

    def on_chord_header_end(self, sig: chord[Any], **header: Any) -> None:
        """Take note that a chord's header was stamped."""
        self.on_group_end(group(sig.tasks), **header)

    def on_chord_body(self, sig: chord[Any], **header: Any) -> Mapping[str, Any] | None:
        """Return the stamps of a chord's body."""
        return {}

    def on_callback(self, callback: Signature[Any], **header: Any) -> Mapping[str, Any] | None:
        """Return the stamps of a callback."""
        return {}

    def on_errback(self, errback: Signature[Any], **header: Any) -> Mapping[str, Any] | None:
        """Return the stamps of an errback."""
        return {}


def stamp(sig: S, visitor: StampingVisitor | None, append: bool, stamps: Stamps) -> S:
    """See `Signature.stamp`; return the signature."""
    if isinstance(sig, chain):
        _chain(sig, visitor, append, stamps)
    elif isinstance(sig, group):
        _group(sig, visitor, append, stamps)
    elif isinstance(sig, chord):
        _chord(sig, visitor, append, stamps)
    else:
        _links(sig, visitor, append, stamps)
        own = {} if visitor is None else visitor.on_signature(sig, **stamps)
        sig.options.update(_own(sig, _joined(stamps, own, append), append))
    return sig


def _chain(sig: chain[Any], visitor: StampingVisitor | None, append: bool, stamps: Stamps) -> None:
    stamps = _joined(stamps, None if visitor is None else visitor.on_chain_start(sig, **stamps), append)
    _links(sig, visitor, append, stamps)
    for task in sig.tasks:
        stamp(task, visitor, append, stamps)
    if visitor is not None:
        visitor.on_chain_end(sig, **stamps)


def _group(sig: group[Any], visitor: StampingVisitor | None, append: bool, stamps: Stamps) -> None:
    stamps = _joined(stamps, None if visitor is None else visitor.on_group_start(sig, **stamps), append)
    _links(sig, visitor, append, stamps)
    _members(sig.tasks, visitor, append, stamps)
    if visitor is not None:
        visitor.on_group_end(sig, **stamps)


def _chord(sig: chord[Any], visitor: StampingVisitor | None, append: bool, stamps: Stamps) -> None:
    stamps = _joined(stamps, None if visitor is None else visitor.on_chord_header_start(sig, **stamps), append)
    _links(sig, visitor, append, stamps)
    _members(sig.tasks, visitor, append, stamps)
    if visitor is not None:
        visitor.on_chord_header_end(sig, **stamps)
        stamps = _joined(stamps, visitor.on_chord_body(sig, **stamps), append)
    if sig.body is not None:
        stamp(sig.body, visitor, append, stamps)


def _members(tasks: Any, visitor: StampingVisitor | None, append: bool, stamps: Stamps) -> None:
    if isinstance(tasks, Lazy):
        tasks.change(lambda task: stamp(task, visitor, append, stamps))
        return
    for task in tasks:
        stamp(task, visitor, append, stamps)


def _links(sig: Signature[Any], visitor: StampingVisitor | None, append: bool, stamps: Stamps) -> None:
    for option in ("link", "link_error"):
        if option not in sig.options:
            continue
        linked = [as_signature(link, sig._app) for link in as_list(sig.options[option])]
        for call in linked:
            hook = None if visitor is None else visitor.on_callback if option == "link" else visitor.on_errback
            stamp(call, visitor, append, _joined(stamps, None if hook is None else hook(call, **stamps), append))
        sig.options[option] = linked


def _joined(stamps: Mapping[str, Any], more: Mapping[str, Any] | None, append: bool) -> Stamps:
    """Return stamps with more of them: one of the same name replaces the earlier one, or comes beside it."""
    joined, named = _named(stamps)
    if more:
        values, names = _named(more)
        for name, value in values.items():
            joined[name] = [*as_list(joined[name]), *as_list(value)] if append and name in joined else value
        named += [name for name in names if name not in named]
    return {**joined, _NAMES: named}


def _own(sig: Signature[Any], stamps: Stamps, append: bool) -> Stamps:
    """Return new stamps with those that a signature has already."""
    names = as_list(sig.options.get(_NAMES))
    there = {name: sig.options[name] for name in names if name in sig.options}
    return _joined({**there, _NAMES: names}, stamps, append)


def _named(stamps: Mapping[str, Any]) -> tuple[Stamps, list[str]]:
    values = {name: value for name, value in stamps.items() if name != _NAMES}
    return values, list(stamps[_NAMES]) if _NAMES in stamps else list(values)


def stamped(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a signature as they are sent: stamps together, under ``stamps``, each a list of values."""
    rest = dict(options)
    names = rest.pop(_NAMES, None)
    if names:
        stamps = {name: as_list(rest.pop(name)) for name in names if name in rest}
        rest["stamps"] = {**(rest.get("stamps") or {}), **stamps}
    return rest


def call_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a signature as a call of one task takes them."""
    sent = stamped(options)
    return {name: value for name, value in sent.items() if name not in _PLACES and value is not None}
