"""Samples of a child's stack are put down to the step that they belong to."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from benchmarks import sampler
from benchmarks.anatomy import OTHER, STEPS, by_step

HOME = "/x/runtime/umbel"


def step(*frames: str) -> str:
    (found,) = by_step(Counter({frames: 1}))
    return found


def test_the_innermost_place_that_is_known_counts() -> None:
    names = [name for name, _ in STEPS]

    assert step(f"{HOME}/redis/connection.py:receive", f"{HOME}/worker/child.py:_turn") == names[0]
    assert step("<string>:__init__", f"{HOME}/message.py:decode", f"{HOME}/worker/runner.py:run") == names[2]
    assert step(f"{HOME}/worker/runner.py:run", f"{HOME}/worker/child.py:_run_next") == names[-1]
    assert step("/lib/python3.11/threading.py:wait") == OTHER


def test_a_function_is_told_from_the_rest_of_its_file() -> None:
    assert step(f"{HOME}/judging.py:success").startswith("encode the result")
    assert step(f"{HOME}/execution.py:_run").startswith("make the request")
    assert step(f"{HOME}/serialization/json.py:decode").startswith("decode")


def test_the_sampler_itself_is_not_in_the_way() -> None:
    assert step("/x/benchmarks/sampler.py:_take", f"{HOME}/message.py:decode") == "read the message"


def test_the_samples_of_all_children_are_summed(tmp_path: Path) -> None:
    (tmp_path / "1.samples").write_text(json.dumps([[2, "a", "b"]]))
    (tmp_path / "2.samples").write_text(json.dumps([[3, "a", "b"], [1, "c"]]))

    assert sampler.read(tmp_path) == {("a", "b"): 5, ("c",): 1}
