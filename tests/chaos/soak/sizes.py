"""Resident memory of all that takes part, over time."""

from __future__ import annotations

import os
from pathlib import Path

import redis
from tests.chaos.storm.memory import size_of
from tests.workers import Worker

#: MiB that each may have gained between two quiet moments. Allocators keep some, and pages that were shared become private.
ALLOWED = {"supervisor": 3.0, "zygote": 3.0, "child": 6.0, "producer": 8.0, "redis": 2.0}


def look(worker: Worker, client: redis.Redis, children: list[int]) -> dict[str, float]:
    """Return who -> MiB: the processes resident, Redis as it counts its own use.

    Args:
        worker: supervisor and below.
        client: asks Redis.
        children: pids of the children that run tasks; who else is below the supervisor is the zygote.
    """
    sizes = {"supervisor": size_of(worker.pid).mebibytes, "producer": size_of(os.getpid()).mebibytes}
    for pid in worker.children():
        name = f"child {pid}" if pid in children else "zygote"
        sizes[name] = _private(pid)
    sizes["redis"] = client.info("memory")["used_memory"] / 2**20
    return sizes


def _private(pid: int) -> float:
    """Return the MiB that a process has by itself: what a fork shares is nobody's growth."""
    fields = {
        name: int(value.split()[0])
        for name, _, value in (
            line.partition(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        )
    }
    return (fields["Private_Dirty"] + fields["Private_Clean"]) / 1024


def compare(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """Return a sentence for each that has grown by more than it may."""
    wrong = []
    for who, size in after.items():
        allowed = ALLOWED[who.split()[0]]
        if who not in before:
            wrong.append(f"{who} was not there before: another one has died")
        elif size - before[who] > allowed:
            wrong.append(f"{who} has grown from {before[who]:.1f} to {size:.1f} MiB, {allowed:g} MiB are allowed")
    return wrong
