"""A process that cannot do its part any more ends, so that its supervisor, or its heir, learns of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=90, check=False
    )


def test_a_child_ends_with_its_helper() -> None:
    """Without the helper it would neither hear that it has to drain nor report beside a long task."""
    program = """
import os, time
from umbel.worker.helper import Helper
from umbel.worker.link import Link

class Child:
    busy, started = True, 0.0
    def told(self, message): raise MemoryError("a task took it all")
    def is_whole(self): return True
    def usual_runtime(self): return 0.0
    stopped = False

ours, theirs = Link.pair()
Helper(Child(), None, theirs, os.eventfd(0)).start()
ours.send({"what": "drain"})
time.sleep(60)
"""
    ended = _run(program)
    assert ended.returncode == 1
    assert "child.helper_died" in ended.stderr
    assert "a task took it all" in ended.stderr


@pytest.mark.parametrize("parent", ["dead", "another"])
def test_who_has_lost_its_parent_before_it_began_goes_silently(parent: str) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    pid = ended.pid if parent == "dead" else os.getppid()
    program = "import sys; from umbel.worker.linux import die_with_parent; die_with_parent(int(sys.argv[1]), 0.2)"
    began = time.monotonic()
    told = _run(program, str(pid))
    assert (told.returncode, told.stderr) == (1, "")
    assert time.monotonic() - began < 60
