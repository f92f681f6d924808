"""The page of failures names tests: each of them has to be there."""

from __future__ import annotations

import re

import pytest
from tests.workers import ROOT

PAGE = (ROOT / "docs/explanation/failures.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| what | ", "| trap | "))]


def test_every_row_names_a_test_that_is_there() -> None:
    rows = [row for row in ROWS if not row.startswith("| what happens | ")]
    assert len(rows) > 60
    for row in rows:
        (path, name) = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)[0]
        assert (ROOT / path).exists(), row
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text(), re.M), row


@pytest.mark.parametrize("heading", ["Who owns a task", "What Redis may do", "Beat", "What is bounded", "Traps"])
def test_every_section_has_its_table(heading: str) -> None:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    assert section.count("\n| ") >= 8


def test_there_are_twenty_traps() -> None:
    section = PAGE.partition("## Traps\n")[2]
    assert len(re.findall(r"^\| .*::test_", section, re.M)) == 20
