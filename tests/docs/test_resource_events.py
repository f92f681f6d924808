"""Whoever sees an event or a reason on a resource finds in the guide what it means and what to do."""

from __future__ import annotations

import ast
import re

from tests.workers import ROOT

from umbel_operator.api.conditions import CONDITIONS, Reason
from umbel_operator.plan import conditions

PAGE = ROOT / "docs/how-to/troubleshooting.md"
PLANS = ROOT / "operator/umbel_operator/plan"
#: Names that are chosen by an expression.
CHOSEN = {"word": {"ScaledUp", "ScaledDown"}, "name": set[str]()}


def _kinds(reason: Reason) -> list[str]:
    """Return the kinds that have a reason."""
    return [kind for kind, table in CONDITIONS.items() if any(reason in reasons for reasons in table.values())]


def _made() -> set[str]:
    """Return the names of the events that plans make: their own, and those that tell of a condition."""
    found = {reason.value for reason in conditions._TOLD if _kinds(reason)} | set(conditions._RENAMED.values())
    for path in sorted(PLANS.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Event":
                match node.args[1]:
                    case ast.Constant(value=str(name)):
                        found.add(name)
                    case ast.Name(id=name):
                        found |= CHOSEN[name]
    return found


def _rows() -> list[list[str]]:
    section = PAGE.read_text(encoding="utf-8").partition("## What the resources say\n")[2].partition("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]


def test_every_event_is_explained_once() -> None:
    explained = [name for row in _rows() for name in re.findall("`([^`]+)`", row[0])]
    assert sorted(explained) == sorted(_made())


def test_a_reason_is_told_of_the_kinds_that_have_it() -> None:
    for names, where, *_ in _rows():
        for reason in set(re.findall("`([^`]+)`", names)) & {reason.value for reason in conditions._TOLD}:
            kinds = _kinds(Reason(reason))
            assert where == ("any" if len(kinds) == len(CONDITIONS) else ", ".join(kinds)), reason
