"""What the upgrade found at one place of a project."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What becomes of what was found."""

    REWRITTEN = "rewritten"
    BY_HAND = "to decide by hand"
    NOT_OFFERED = "not offered"


@dataclass(frozen=True, order=True)
class Finding:
    """One thing at one place.

    Args:
        path: of the file, from the root of the project.
        line: in the file as it was.
        kind: what becomes of it.
        what: as it stands there, and what it becomes, in short.
        why: a reason, or what to do.
    """

    path: str
    line: int
    kind: Kind
    what: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}" + (f": {self.why}" if self.why else "")
