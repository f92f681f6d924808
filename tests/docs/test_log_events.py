"""Whoever reads a warning or an error in a log finds its event in the guide, with what it means and what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.workers import ROOT

from umbel.beat.runs import Outcome

PAGE = ROOT / "docs/how-to/troubleshooting.md"
HEADING = "## What the log says\n"
METHODS = ("warning", "error", "exception", "critical", "log")
QUIET = {"logging.INFO", "logging.DEBUG"}
#: The events whose names are put together, by the expression that does it; at WARNING or ERROR only.
COMPOSED = {
    "f'task.{_WORDS.get(ended.kind, ended.state.lower())}'": {"task.failure", "task.dead", "task.given_back"},
    "f'beat.queue_{answer.status}'": {"beat.queue_closed", "beat.queue_full"},
    "f'schedule.{outcome}'": {
        "schedule.missed",
        *(f"schedule.{outcome}" for outcome in set(Outcome) - {Outcome.ENQUEUED, Outcome.DEDUPLICATED}),
    },
}


def _names(expression: ast.expr) -> set[str]:
    match expression:
        case ast.Constant(value=str(name)):
            return {name}
        case ast.IfExp(body=body, orelse=other):
            return _names(body) | _names(other)
        case _:
            return COMPOSED[ast.unparse(expression)]


def _calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            logger = ast.unparse(node.func.value)
            if logger in ("log", "logger") or logger.startswith(("get_logger(", "logging.getLogger(")):
                yield node


def _logged() -> set[str]:
    """Return the names of all events that the code logs as a warning or an error."""
    found: set[str] = set()
    for folder in ("runtime/umbel", "operator/umbel_operator"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for call in _calls(path):
                assert isinstance(call.func, ast.Attribute)
                levelled = call.func.attr == "log"
                if not (levelled and ast.unparse(call.args[0]) in QUIET):
                    found |= _names(call.args[levelled])
    return found


def _rows() -> list[list[str]]:
    section = PAGE.read_text(encoding="utf-8").partition(HEADING)[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line[:1] == "|"]
    return [row for row in rows if row[0].startswith("`")]


def test_every_warning_and_error_is_explained_once() -> None:
    explained = [name for row in _rows() for name in re.findall("`([^`]+)`", row[0])]
    assert sorted(explained) == sorted(_logged())


def test_every_row_says_what_to_do() -> None:
    for row in _rows():
        assert len(row) == 3, row
        assert all(row), row


def test_an_event_is_a_name_and_no_sentence() -> None:
    for name in _logged():
        assert re.fullmatch(r"[a-z]+[._][a-z_]+", name), name
