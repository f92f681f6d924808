"""Medians, ratios, goals and the table say what was measured and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.adapter import Peer, Place, Producer, Role
from benchmarks.goals import judge
from benchmarks.measures import MEASURES, Sizes
from benchmarks.report import build_document, build_goal_table, build_table
from benchmarks.rounds import Entrant, Record
from benchmarks.summary import Spread, ratio, spread
from rich.console import Console
from rich.table import Table


class Named(Peer):
    """A peer that has a name and does nothing."""

    distribution = None

    def __init__(self, title: str, role: Role) -> None:
        self.title = title
        self.role = role

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        raise NotImplementedError

    def producer(self, place: Place) -> Producer:
        raise NotImplementedError


def entrant(name: str, role: Role = Role.PEER) -> Entrant:
    return Entrant(name, Named(name.title(), role), Path(), {})


ENTRANTS = [entrant("celery"), entrant("huey"), entrant("umbel", Role.OURS), entrant("barest", Role.YARDSTICK)]


def rates(**by_peer: list[float]) -> Record:
    return Record({"drain": {name: [{"rate": value} for value in values] for name, values in by_peer.items()}})


def text(table: Table) -> str:
    console = Console(width=160, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_the_spread_of_the_rounds() -> None:
    assert spread([4.0, 1.0, 2.0]) == Spread(2.0, 1.0, 4.0)
    assert spread([]) is None


def test_a_ratio_is_taken_round_by_round() -> None:
    """The machine became four times slower for two rounds; the ratio did not change."""
    record = rates(celery=[400.0, 100.0, 100.0], umbel=[4000.0, 1000.0, 1000.0])

    assert ratio(record, "drain", "rate", "umbel", "celery") == pytest.approx(10)


def test_without_figures_there_is_no_ratio() -> None:
    assert ratio(rates(umbel=[1.0]), "drain", "rate", "umbel", "celery") is None
    assert ratio(rates(celery=[1.0]), "drain", "rate", "umbel", "celery") is None


def test_the_table_shows_median_range_and_ratio() -> None:
    record = rates(celery=[700.0, 800.0, 900.0], umbel=[7000.0, 8000.0, 9000.0])
    shown = text(build_table(record, ENTRANTS, [MEASURES["drain"]], rounds=3))

    assert "drain, no-op [tasks/s]" in shown
    for piece in ("8,000", "(7,000–9,000)", "10.00×", "1.00×"):
        assert piece in shown


def test_what_was_not_measured_is_a_dash() -> None:
    shown = text(build_table(rates(celery=[700.0]), ENTRANTS, [MEASURES["drain"]], rounds=1))

    assert sum(" – " in line for line in shown.splitlines()) == 3


def test_goals_compare_us_with_the_best_peer_with_one_by_name_and_with_the_yardstick() -> None:
    record = rates(celery=[700.0], huey=[4000.0], umbel=[36000.0], barest=[200000.0])
    verdicts = judge(record, ENTRANTS)

    assert [(v.peer and v.peer.name, v.goal.bound, v.met) for v in verdicts] == [
        ("huey", 8.0, True),
        ("celery", 40.0, True),
        ("barest", 0.25, False),
    ]


def test_a_missed_goal_is_called_missed() -> None:
    verdicts = judge(rates(celery=[1000.0], huey=[900.0], umbel=[7000.0]), ENTRANTS)
    shown = text(build_goal_table(verdicts, MEASURES))

    assert "Celery, the best peer" in shown
    assert "≥ 8 ×" in shown
    assert "7.00 ×" in shown
    assert "MISSED" in shown


def test_a_goal_without_a_peer_is_a_bound_on_our_own_figure() -> None:
    found = {"umbel": [{"seconds": 11.0, "missing": 0.0, "repeated": 0.0}]}
    never = {"umbel": [{"seconds": -1.0, "missing": 3.0, "repeated": 0.0}]}

    assert [verdict.met for verdict in judge(Record({"recovery": found}), ENTRANTS)] == [True, True]
    assert [verdict.met for verdict in judge(Record({"recovery": never}), ENTRANTS)] == [False, False]


def test_goals_where_less_is_better() -> None:
    record = Record({"latency": {"huey": [{"p50": 2.0, "p99": 4.0}], "umbel": [{"p50": 1.3, "p99": 4.0}]}})
    (verdict,) = judge(record, ENTRANTS)

    assert verdict.value == pytest.approx(0.65)
    assert not verdict.met


def test_the_document_holds_every_round() -> None:
    record = rates(celery=[700.0, 800.0], umbel=[7000.0, 8000.0])
    document = build_document(
        record, ENTRANTS, judge(record, ENTRANTS), Sizes(), {"cores": 2}, "2026-01-01T00:00:00+00:00"
    )

    assert document["figures"]["drain"]["umbel"] == [{"rate": 7000.0}, {"rate": 8000.0}]
    assert document["machine"] == {"cores": 2}
    assert document["goals"][0]["value"] == pytest.approx(10)
