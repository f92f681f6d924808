"""What Linux knows about a tree of processes: who belongs to it, what memory and processor time it uses."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """Memory of a process tree in KiB: proportional, private and resident."""

    processes: int
    pss: int
    private: int
    rss: int


def descendants(root: int) -> set[int]:
    """Return the processes below `root`, without it."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None:
                children[int(fields[1])].append(int(entry.name))
    found: set[int] = set()
    frontier = [root]
    while frontier:
        below = children[frontier.pop()]
        found.update(below)
        frontier.extend(below)
    return found


def carriers(variable: str) -> set[int]:
    """Return the processes that were started with `NAME=value` in their environment, or forked from one that was."""
    wanted = variable.encode()
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
    return found


def memory(root: int) -> Memory:
    """Sum /proc/PID/smaps_rollup over `root` and its descendants."""
    totals: defaultdict[str, int] = defaultdict(int)
    members = {root, *descendants(root)}
    for pid in members:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError as error:
            raise BenchmarkError(
                f"cannot read the memory of process {pid} of the worker ({error}): run as its user"
            ) from error
        for name, kib in parse_rollup(text).items():
            totals[name] += kib
    private = totals["Private_Clean"] + totals["Private_Dirty"]
    return Memory(processes=len(members), pss=totals["Pss"], private=private, rss=totals["Rss"])


def parse_rollup(text: str) -> dict[str, int]:
    """Return the fields of a smaps_rollup file in KiB."""
    fields = {}
    for line in text.splitlines()[1:]:
        name, _, value = line.partition(":")
        fields[name] = int(value.removesuffix("kB"))
    return fields


def cpu_seconds(root: int) -> float:
    """Return the processor time that `root`, its descendants and their waited-for children have used, in seconds."""
    ticks = 0
    for pid in {root, *descendants(root)}:
        fields = _stat(pid)
        if fields is not None:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the command's name (state first), or None if the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()
