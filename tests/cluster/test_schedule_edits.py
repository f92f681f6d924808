"""How long it takes from `kubectl apply` of an edited Schedule until beat acts on it."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import pool, queue, schedule

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

#: Seconds within which an edit acts.
PROMISE = 10.0
EDITS = 5


@pytest.fixture
def diary(shop: Kubectl) -> Iterator[Kubectl]:
    shop.apply(queue("diary"), pool("diary", "diary"))
    shop.running("umbel.dev/pool=diary", 1)
    yield shop
    shop("delete", "schedule/diary", "workerpool/diary", "taskqueue/diary", "--ignore-not-found")


def every_second(run: str, word: str) -> dict[str, Any]:
    found = schedule("diary", "diary", trigger={"type": "Interval", "interval": {"everySeconds": 1}})
    found["spec"]["task"] = {"name": "tasks.stamp", "args": [run, word]}
    return found


def first_of(console: Console, run: str, word: str) -> float:
    """Wait for a word and return when it was first stamped."""

    def look() -> float | None:
        found = [at for at, _, seen in console.run(f"print(json.dumps(starts_of({run!r})))") if seen == word]
        return min(found, default=None)

    return wait(f"the run of {word}", look, 60)


def test_an_edited_schedule_acts_within_ten_seconds(
    diary: Kubectl, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    run, took = uuid4().hex, []
    diary.apply(every_second(run, "before"))
    first_of(console, run, "before")
    for number in range(EDITS):
        word = f"edit {number}"
        since = console.redis_time()
        diary.apply(every_second(run, word))
        took.append(first_of(console, run, word) - since)
    with capsys.disabled():
        shown = ", ".join(f"{seconds:.1f}" for seconds in took)
        sys.stdout.write(f"\nseconds from kubectl apply of an edit to the first task by it: {shown} "
                         f"(median {statistics.median(took):.1f})\n")  # fmt: skip
    assert max(took) < PROMISE
