"""Where a worker's processor time goes: a stack for every so many microseconds of it, counted in each child.

The kernel sends SIGPROF by the processor time of the process, so waiting does not show. What C code uses is seen at the
line of Python that called it. Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from types import FrameType

#: The variable that names the folder for the counts; without it nothing is sampled.
VARIABLE = "BENCH_SAMPLES"
_SUFFIX = ".samples"
#: Processor seconds between two samples.
_EVERY = 0.001
_WRITE_EVERY = 100
_DEPTH = 24

Stack = tuple[str, ...]
_stacks: Counter[Stack] = Counter()
_seen = 0


def install() -> None:
    """Have each process that is forked from this one sample itself, if the variable is set."""
    if VARIABLE in os.environ:
        os.register_at_fork(after_in_child=_start)


def _start() -> None:
    _stacks.clear()
    signal.signal(signal.SIGPROF, _take)
    signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)


def _take(number: int, frame: FrameType | None) -> None:
    global _seen
    stack: list[str] = []
    while frame is not None and len(stack) < _DEPTH:
        code = frame.f_code
        stack.append(f"{code.co_filename}:{code.co_name}")
        frame = frame.f_back
    _stacks[tuple(stack)] += 1
    _seen += 1
    if _seen % _WRITE_EVERY == 0:
        _write()


def _write() -> None:
    path = Path(os.environ[VARIABLE], f"{os.getpid()}{_SUFFIX}")
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps([[count, *stack] for stack, count in _stacks.items()]))
    fresh.replace(path)


def read(directory: Path) -> Counter[Stack]:
    """Return the counts of all processes: stack, innermost frame first -> samples."""
    found: Counter[Stack] = Counter()
    for path in directory.glob(f"*{_SUFFIX}"):
        for count, *stack in json.loads(path.read_text()):
            found[tuple(stack)] += count
    return found
