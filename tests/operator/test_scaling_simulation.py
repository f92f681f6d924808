"""The simulation of the scaler: it runs every task once, repeats itself, and the pictures of the docs are its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks.scaling.__main__ import ROOT, files, picture_of
from benchmarks.scaling.loads import CASES, FOLDER, Case, read
from benchmarks.scaling.picture import digest, draw
from benchmarks.scaling.simulation import Outcome, simulate

from umbel_operator.api.autoscaling import QueueScaling

BY_NAME = {case.name: case for case in CASES}


def ran(name: str) -> Outcome:
    return simulate(BY_NAME[name], read(BY_NAME[name].file))


def small(**given: object) -> Case:
    scaling = {"minReplicas": 0, "maxReplicas": 10, "tasksPerReplica": 4, **given}
    return Case("small", "Small", QueueScaling.model_validate(scaling), replicas=0)


def test_the_pictures_and_the_table_of_the_docs_are_current() -> None:
    stale = [file.name for file, text in files().items() if not file.exists() or file.read_text() != text]
    assert not stale, "run: make simulate-scaling"


def test_every_load_is_drawn_and_shown() -> None:
    page = (ROOT / "docs" / "explanation" / "scaling.md").read_text(encoding="utf-8")
    assert {file.stem for file in FOLDER.glob("*.csv")} == set(BY_NAME)
    assert all(f"({picture_of(name).name})" in page for name in BY_NAME)


def test_the_same_load_gives_the_same_figures() -> None:
    assert digest(ran("blind")) == digest(ran("blind"))


@pytest.mark.parametrize("case", CASES, ids=BY_NAME)
def test_bounds_are_kept_and_the_work_is_done(case: Case) -> None:
    """Given a load, when it is over, then nothing waits, and the pods were never fewer or more than allowed."""
    arrivals = read(case.file)
    outcome = simulate(case, [*arrivals, *[0] * 30])
    assert outcome.tasks >= sum(arrivals)
    assert outcome.looks[-1].backlog == 0
    assert outcome.looks[-1].replicas == case.settings.min_replicas
    assert outcome.most <= case.settings.max_replicas
    assert all(look.working <= case.settings.max_replicas for look in outcome.looks)


def test_a_task_wakes_the_pool_and_waits_for_the_start_of_a_pod() -> None:
    outcome = simulate(small(), [0, 1, *[0] * 10])
    assert outcome.longest <= small().startup + small().settings.sample_period_seconds
    assert outcome.most == 1
    assert outcome.looks[-1].replicas == 0


def test_a_pod_is_there_when_a_schedule_is_due() -> None:
    case = replace(small(startupLeadSeconds=60), schedule=600, scheduled_tasks=1)
    outcome = simulate(case, [0] * 15)
    assert (outcome.tasks, outcome.longest) == (1, 0)


def test_without_a_sample_the_number_is_held() -> None:
    begin, end = BY_NAME["blind"].silences[0]
    held = [look.replicas for look in ran("blind").looks if begin + 45 <= look.second < end]
    assert len(set(held)) == 1
    seeing = simulate(replace(BY_NAME["blind"], silences=()), read(BY_NAME["blind"].file))
    assert len({look.replicas for look in seeing.looks if begin + 45 <= look.second < end}) > 1


@pytest.mark.parametrize("text", ["minute,tasks\n1,5\n", "minute,tasks\n0,x\n", "time,tasks\n0,5\n"])
def test_a_load_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "load.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match="row 1 must be minute 0 and a number of tasks"):
        read(file)


def test_a_picture_is_svg_whatever_the_title_holds() -> None:
    case = replace(small(), title='Tasks < 5 & "more"')
    root = ElementTree.fromstring(draw(case, [0, 3], simulate(case, [0, 3])))
    assert root.findtext("{http://www.w3.org/2000/svg}title") == case.title


def test_a_load_of_ones_own_is_drawn(tmp_path: Path) -> None:
    load, out = tmp_path / "mine.csv", tmp_path / "mine.svg"
    load.write_text("minute,tasks\n" + "".join(f"{minute},{minute * 10}\n" for minute in range(20)))
    command = [sys.executable, "-m", "benchmarks.scaling", "--load", str(load), "--out", str(out), "--max", "5"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=90)
    assert done.returncode == 0, done.stderr
    assert "| mine | 1,900 | 5 |" in done.stdout
    ElementTree.parse(out)
