"""A short `make soak`; SOAK_TASKS asks for more. And what it calls growth."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.chaos.soak.sizes import compare
from tests.workers import ROOT

TASKS = int(os.environ.get("SOAK_TASKS", "60000"))


@pytest.mark.timeout(300 + TASKS // 1000)
def test_memory_is_back_at_its_baseline() -> None:
    command = [sys.executable, "-m", "tests.chaos.soak", "--tasks", str(TASKS)]
    soak = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert soak.returncode == 0, soak.stdout[-4000:] + soak.stderr[-3000:]
    assert "memory is back at its baseline" in soak.stdout


def test_growth_is_told() -> None:
    before = {"supervisor": 30.0, "child 1": 5.0, "redis": 2.0}
    assert compare(before, {"supervisor": 32.0, "child 1": 10.0, "redis": 1.0}) == []
    assert compare(before, {"supervisor": 34.0, "child 1": 5.0, "redis": 9.0}) == [
        "supervisor has grown from 30.0 to 34.0 MiB, 3 MiB are allowed",
        "redis has grown from 2.0 to 9.0 MiB, 2 MiB are allowed",
    ]


def test_a_child_that_was_replaced_is_told() -> None:
    assert compare({"child 1": 5.0}, {"child 2": 5.0}) == ["child 2 was not there before: another one has died"]
