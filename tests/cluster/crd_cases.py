"""Read the acceptance cases of the CRDs, for the tests with and without a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_FILE = Path(__file__).with_name("cases") / "crds.yaml"


@dataclass(frozen=True)
class Case:
    """One object, and what the API server does with it."""

    case: str
    kind: str
    spec: dict[str, Any]
    accepted: bool
    name: str = "case"
    update: dict[str, Any] | None = None
    becomes: dict[str, Any] = field(default_factory=dict)
    says: str = ""

    def body(self) -> dict[str, Any]:
        """Return the object that is created."""
        return {
            "apiVersion": "umbel.dev/v1alpha1",
            "kind": self.kind,
            "metadata": {"name": self.name},
            "spec": self.spec,
        }


def _read() -> tuple[Case, ...]:
    document = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return tuple(
        Case(**entry, accepted=section == "accepted")
        for section in ("accepted", "rejected")
        for entry in document[section]
    )


CASES = _read()


def at(body: dict[str, Any], path: str) -> Any:
    """Return what is at a dotted path of an object."""
    value: Any = body
    for part in path.split("."):
        value = value[part]
    return value
