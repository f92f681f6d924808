"""What goes back and forth while a workflow is compiled: what a call adds to a part, what follows it, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from umbel.workflow.graph import Nesting


@dataclass(frozen=True, slots=True)
class Given:
    """What a call adds to the first tasks: arguments before theirs, more named ones, options; ``whole``: nothing else comes."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False


NOTHING: Final = Given()


@dataclass(frozen=True, slots=True)
class StandsFor:
    """What the end of a workflow is the end of too.

    ``outers`` are the places of other workflows, as `HEADER` has them; ``headers`` and ``attempt`` those of the message whose
    task it stands for; ``known`` an id that leads to a workflow already.
    """

    outers: list[dict[str, Any]] = field(default_factory=list)
    headers: Mapping[str, Any] = field(default_factory=dict)
    attempt: int = 0
    known: str | None = None


@dataclass(frozen=True, slots=True)
class After:
    """What follows a part: targets, where its failures go, the errbacks of what follows if that is the body of a chord, and
    whether somebody waits for it if nothing follows. With ``slot``, places of a join from a number on."""

    outs: tuple[str, ...] = ()
    fail: int | None = None
    bodies: tuple[tuple[int, int], ...] = ()
    told: bool = True
    slot: tuple[int, int] | None = None


@dataclass(slots=True)
class Part:
    """A compiled part: the nodes that it begins with, where a failure before it goes, their errbacks, and its results."""

    entries: list[int]
    fail: int | None
    bodies: tuple[tuple[int, int], ...]
    shape: Outline


@dataclass(slots=True)
class Outline:
    """What the results of a part are to look like. ``kind``: task, chain, group, chord."""

    kind: str
    id: str = ""
    name: str = ""
    ignored: bool = False
    inbox: str | None = None
    parts: list[Outline] = field(default_factory=list)


def nesting(header: Outline) -> Nesting:
    """Return how the values of a header lie in the list that its body gets; empty for all side by side.

    The members of a group in the header stand beside the others; where a part ends in a group, that is a list of its own.
    """
    nested: Nesting = []
    _gather(header, nested)
    return nested if any(isinstance(part, list) for part in nested) else []


def _gather(group: Outline, nested: Nesting) -> None:
    for part in group.parts:
        if part.kind == "group":
            _gather(part, nested)
            continue
        last = _last(part)
        if last is None:
            continue
        if last.kind == "group":
            inner: Nesting = []
            _gather(last, inner)
            nested.append(inner)
        elif nested and isinstance(nested[-1], int):
            nested[-1] += 1
        else:
            nested.append(1)


def _last(part: Outline) -> Outline | None:
    """Return what a part ends in: a task or a group; None if it is empty."""
    while part.kind in ("chain", "chord"):
        filled = [inner for inner in part.parts if inner.id or inner.parts]
        if not filled:
            return None
        part = filled[-1]
    return part


def finals(outline: Outline) -> int:
    """Return how many last tasks a part has."""
    if outline.kind == "task":
        return 1
    if outline.kind == "group":
        return sum(map(finals, outline.parts))
    return finals(outline.parts[-1]) if outline.parts else 0
