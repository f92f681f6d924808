"""What goes back and forth while a workflow is compiled: what a call adds to a part, what follows it, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


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


def finals(outline: Outline) -> int:
    """Return how many last tasks a part has."""
    if outline.kind == "task":
        return 1
    if outline.kind == "group":
        return sum(map(finals, outline.parts))
    return finals(outline.parts[-1]) if outline.parts else 0
