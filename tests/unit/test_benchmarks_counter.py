"""The counter files count what ran, process by process, while it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.counter import CounterReader

ROOT = Path(__file__).resolve().parents[2]

# A parent that counts before and after it forks: the child must get a file of its own.
PROGRAM = """
import os
from benchmarks import body
body.noop(0)
child = os.fork()
for number in range(5 if child == 0 else 2):
    body.noop(number)
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
print(os.getpid(), child)
"""


def test_each_process_counts_for_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"BENCH_COUNTERS": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    parent, child = map(int, done.stdout.split())

    assert CounterReader(tmp_path).read() == {parent: 3, child: 5}


def test_a_reader_sees_counting_go_on_and_processes_join(tmp_path: Path) -> None:
    reader = CounterReader(tmp_path)
    assert reader.read() == {}

    (tmp_path / "17.count").write_bytes((4).to_bytes(8, sys.byteorder))
    assert reader.read() == {17: 4}

    with open(tmp_path / "17.count", "r+b") as file:
        file.write((6).to_bytes(8, sys.byteorder))
    (tmp_path / "18.count").write_bytes((1).to_bytes(8, sys.byteorder))
    assert reader.read() == {17: 6, 18: 1}


def test_a_file_that_is_just_being_made_is_left_for_the_next_look(tmp_path: Path) -> None:
    (tmp_path / "17.count").write_bytes(b"")

    assert CounterReader(tmp_path).read() == {}


def test_a_task_of_one_millisecond_uses_one_millisecond_of_the_processor(tmp_path: Path) -> None:
    program = (
        "import time; from benchmarks import body; body.work(1); times = [time.thread_time()]; "
        "[times.append(time.thread_time()) for i in range(50) if body.work(i) == i]; "
        "print(*(later - sooner for sooner, later in zip(times, times[1:])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"BENCH_COUNTERS": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    used = sorted(map(float, done.stdout.split()))
    assert len(used) == 50
    assert 0.001 <= used[0] <= used[25] < 0.0012  # the system may take some of one, and not of half of them
    assert sum(CounterReader(tmp_path).read().values()) == 51
