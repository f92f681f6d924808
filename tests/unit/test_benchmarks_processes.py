"""Nothing that the harness starts outlives it, and its look at processes is right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.errors import BenchmarkError
from benchmarks.processes import Process
from benchmarks.proctree import cpu_seconds, descendants, memory, parse_rollup

ROOT = Path(__file__).resolve().parents[2]

# A worker whose child leaves for a session of its own, is forgotten by its parent and ignores SIGTERM.
RUNAWAY = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(sys.argv[1], 'w').write(str(os.getpid()))
        time.sleep(60)
    os._exit(0)
time.sleep(60)
"""

HARNESS = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job inherits as ignored
from pathlib import Path
from benchmarks.processes import Process, no_orphans
directory = Path(sys.argv[1])
with no_orphans():
    process = Process("the worker", [sys.executable, "-c", sys.argv[2], str(directory / "pid")], {}, directory)
    while not ((directory / "pid").exists() and (directory / "pid").read_text()):
        time.sleep(0.01)
    print(process.pid, flush=True)
    if sys.argv[3] == "raise":
        raise RuntimeError("broken")
    if sys.argv[3] == "stop":
        process.stop()
        print(os.path.exists(f"/proc/{(directory / 'pid').read_text()}"), flush=True)
    else:
        time.sleep(60)
"""


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def start_harness(directory: Path, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HARNESS, str(directory), RUNAWAY, how],
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, "raise"])
def test_whatever_ends_the_harness_ends_all_it_started(how: signal.Signals | str, tmp_path: Path) -> None:
    with start_harness(tmp_path, str(how)) as harness:
        assert harness.stdout is not None
        worker = int(harness.stdout.readline())
        runaway = int((tmp_path / "pid").read_text())
        if isinstance(how, signal.Signals):  # else it ends by itself, perhaps before anybody looks
            assert alive(runaway)
            harness.send_signal(how)
        harness.wait(60)

    assert harness.returncode != 0
    assert not alive(worker)
    assert not alive(runaway)


def test_stopping_a_worker_ends_what_it_forked_and_forgot(tmp_path: Path) -> None:
    with start_harness(tmp_path, "stop") as harness:
        output, _ = harness.communicate(timeout=60)

    assert output.split()[1] == "False"


def test_a_worker_that_ends_by_itself_is_quoted(tmp_path: Path) -> None:
    process = Process("the worker of X", [sys.executable, "-c", "raise SystemExit('no such queue')"], {}, tmp_path)
    assert process.wait(60) == 1

    with pytest.raises(BenchmarkError, match=r"the worker of X ended with exit code 1.*\n.*no such queue"):
        process.require_alive()


def test_memory_and_processor_time_cover_the_whole_tree(tmp_path: Path) -> None:
    program = (
        "import os, time\nblob = b'x' * (16 << 20)\nif os.fork() == 0:\n    more = b'y' * (16 << 20)\n"
        "    while time.process_time() < 0.3: pass\n    open('ready', 'w').close()\ntime.sleep(60)"
    )
    process = Process("a tree", [sys.executable, "-c", program], {}, tmp_path)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "ready").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        found = memory(process.pid)
        assert len(descendants(process.pid)) == 1
        assert found.processes == 2
        assert 32 * 1024 < found.pss < found.rss
        # The kernel counts in whole ticks of 10 ms, for each of the two processes.
        assert cpu_seconds(process.pid) >= 0.28
    finally:
        children = descendants(process.pid)
        process.stop()
        for pid in children:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def test_a_rollup_is_read_in_kib() -> None:
    text = "55d0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:    8520 kB\nPss:    2100 kB\nPrivate_Dirty:  900 kB\n"

    assert parse_rollup(text) == {"Rss": 8520, "Pss": 2100, "Private_Dirty": 900}
