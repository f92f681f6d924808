"""The page of Schedules: its examples do what it says, and its rules name tests that are there."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from tests.workers import ROOT

from umbel.schedules import Cron, InvalidSchedule
from umbel_operator.api.schedule import ScheduleSpec

PAGE = (ROOT / "docs/reference/schedules.md").read_text(encoding="utf-8")
SEEN_FROM = datetime(2026, 6, 1, 12, tzinfo=UTC)


def rows(heading: str) -> list[list[str]]:
    """Return the rows of the table with this heading."""
    table = PAGE.partition(f"{heading}\n")[2].partition("\n\n")[0]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in table.splitlines()[1:]]


NEXT = rows("| expression | next |")
REFUSED = rows("| expression | because |")
RULES = rows("| rule | test |")


@pytest.mark.parametrize(("expression", "following"), NEXT, ids=[row[0] for row in NEXT])
def test_an_expression_fires_when_the_page_says(expression: str, following: str) -> None:
    assert Cron(expression).next_after(SEEN_FROM) == datetime.fromisoformat(following)
    trigger = {"type": "Cron", "cron": {"expression": expression}}
    ScheduleSpec.model_validate({"queueRef": {"name": "q"}, "task": {"name": "t"}, "trigger": trigger})


@pytest.mark.parametrize(("expression", "because"), REFUSED, ids=[row[0] for row in REFUSED])
def test_an_expression_is_refused_as_the_page_says(expression: str, because: str) -> None:
    with pytest.raises(InvalidSchedule, match=re.escape(because)):
        Cron(expression)


@pytest.mark.parametrize("item", ["H", "H(0-29)", "H/10", "H(0-29)/10", "?", "L", "L-2", "15W", "LW", "9-17/2"])
def test_what_a_field_may_hold_is_on_the_page(item: str) -> None:
    assert f"`{item}`" in PAGE
    Cron(f"0 0 {item} * *" if item not in ("H(0-29)", "H(0-29)/10", "H/10") else f"{item} 0 * * *", seed="uid")


def test_every_rule_names_a_test_that_is_there() -> None:
    assert len(RULES) > 20
    for rule, test in RULES:
        path, _, name = test.partition("::")
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.M), rule
