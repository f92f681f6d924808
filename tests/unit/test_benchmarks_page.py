"""The performance page shows what was published, and knows what to do with a run that lacks something."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from benchmarks import page
from benchmarks.published import anatomy, goals, growth, mixed, notes, peers

RUN: dict[str, Any] = {
    "when": "2026-01-02T03:04:05+00:00",
    "machine": {},
    "peers": {
        "huey": {"title": "Huey", "version": "3", "role": "peer", "recovery": "none"},
        "umbel": {"title": "Umbel", "version": "1", "role": "ours", "recovery": "others look"},
        "barest": {"title": "barest loop", "version": None, "role": "yardstick", "recovery": ""},
    },
    "figures": {
        "drain": {"huey": [{"rate": 100.0}, {"rate": 300.0}], "umbel": [{"rate": 1000.0}, {"rate": 6000.0}]},
        "recovery": {
            "huey": [{"seconds": -1.0, "missing": 2.0, "repeated": 0.0}],
            "umbel": [{"seconds": 11.0, "missing": 0.0, "repeated": 0.0}],
        },
    },
    "goals": [{"label": "drain", "against": "Huey", "asked": "≥ 8 ×", "shown": "15.00 ×", "met": True}],
    "notes": ["barest loop takes no part in `recovery`: it recovers nothing"],
    "failures": ["RQ failed at `drain`: it ended; its last words:\n  gone"],
    "anatomy": {
        "samples": 4,
        "worker_cpu_us": 12.0,
        "steps": [{"step": "talk", "share": 0.25, "us": 3.0}],
        "redis": [{"what": "evalsha", "us": 6.0, "calls": 0.01}],
        "publish": {"in bulk": {"us": 2.0, "calls": 0.001}},
    },
    "mixed": [{"children": 2, "worst_hold": 0.0042, "took": 3.3, "ideal": 3.0, "tasks": 306}],
    "growth": {
        "length": [
            {
                "length": 1_000_000,
                "rate": 80_000.0,
                "sent_rate": 150_000.0,
                "worker_cpu_us": None,
                "redis_cpu_us": 6.0,
                "redis_bytes": 300.0,
            }
        ]
    },
}


def test_a_row_shows_the_peers_figure_and_how_many_times_it_ours_is() -> None:
    rows = list(peers(RUN, "drain"))

    assert "| Huey 3 | 200 (15.00×) |" in rows
    assert "| **Umbel** 1 | 3,500 |" in rows
    assert "| barest loop | – |" in rows


def test_what_never_happened_has_no_ratio() -> None:
    rows = list(peers(RUN, "recovery"))

    assert "| Huey 3 | never | 2 | 0 |" in rows


def test_the_other_tables_have_a_row_for_each_entry() -> None:
    assert list(goals(RUN))[-1] == "| drain | Huey | ≥ 8 × | 15.00 × | met |"
    assert list(notes(RUN)) == [
        "* Huey: none.",
        "* Umbel: others look.",
        "* barest loop takes no part in `recovery`: it recovers nothing.",
        "* RQ failed at `drain`: it ended; its last words.",
    ]
    assert list(anatomy(RUN, "steps"))[-2:] == ["| talk | 3.0 | 25% |", "| all (4 samples) | 12.0 | 100% |"]
    assert list(anatomy(RUN, "redis"))[-1] == "| `EVALSHA` | 6.00 | 0.01 |"
    assert list(anatomy(RUN, "publish"))[-1] == "| in bulk | 2.0 | 0.001 |"
    assert list(mixed(RUN))[-1] == "| 2 | 306 | 4 | 3.30 | 3.00 | 1.10× |"
    assert list(growth(RUN, "length"))[-1] == "| 1,000,000 | 80,000 | 150,000 | – | 6.0 | 300 |"


def test_only_what_stands_between_the_comments_is_replaced() -> None:
    text = "before\n<!-- figures: goals -->\nold\n<!-- /figures -->\nafter\n"
    rendered = page.render(text, RUN)

    assert rendered.startswith("before\n<!-- figures: goals -->\n\n| measure |")
    assert rendered.endswith("|\n\n<!-- /figures -->\nafter\n")
    assert "old" not in rendered
    assert page.render(rendered, RUN) == rendered


def test_a_part_that_was_not_measured_is_said() -> None:
    rendered = page.render("<!-- figures: mixed -->\n<!-- /figures -->", {"machine": {}})

    assert "(not measured in this run)" in rendered


def test_figures_that_do_not_exist_are_refused() -> None:
    with pytest.raises(KeyError, match="speeed"):
        page.render("<!-- figures: speeed -->\n<!-- /figures -->", RUN)


def test_the_page_shows_what_was_published() -> None:
    assert page.main(["--check"]) == 0


def test_the_page_has_every_table_and_no_figure_of_its_own() -> None:
    text = page.PAGE.read_text()

    assert re.findall(r"<!-- figures: ([a-z-]+) -->", text) == list(page.TABLES)


def test_a_page_that_shows_something_else_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = json.loads(page.PUBLISHED.read_text())
    run["machine"]["cores"] = 4096
    (tmp_path / "published.json").write_text(json.dumps(run))
    monkeypatch.setattr(page, "PUBLISHED", tmp_path / "published.json")

    assert page.main(["--check"]) == 1
    assert "python -m benchmarks.page" in capsys.readouterr().err
