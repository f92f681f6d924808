"""Where the time of one of our tasks goes: in a child by step, in Redis by script and command."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import drain, sampler
from benchmarks.measures import preload
from benchmarks.proctree import cpu_seconds
from benchmarks.rounds import Entrant
from benchmarks.server import Server
from benchmarks.turn import Turn, new_turn

#: The steps of a task in a child, in their order. A sample belongs to the first of these places that its stack meets, from the
#: innermost frame outward: the end of a file's path, and the function if named.
STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("talk to Redis: send, wait in the kernel, parse", ("redis/connection.py:send", "redis/connection.py:receive")),
    ("take in a batch", ("redis/consumer.py:cycle", "worker/desk.py")),
    ("read the message", ("umbel/message.py",)),
    ("decode the arguments", ("serialization/json.py:decode", "umbel/bodies.py")),
    ("make the request, call the task, watch its end", ("execution.py", "umbel/context.py")),
    ("the task itself, and counting it", ("benchmarks/body.py", "benchmarks/counter.py")),
    ("encode the result", ("serialization/json.py:encode", "umbel/judging.py", "umbel/record.py", "verdict.py")),
    (
        "pack the reports",
        ("redis/consumer.py:pack_outcomes", "redis/connection.py:pack", "redis/scripts.py", "keys.py"),
    ),
    ("tell the supervisor, limits, prefetch, turns", ("umbel/worker/",)),
)
#: More particular than a whole file: looked at first.
_PARTICULAR = sorted(
    ((place, step) for step, places in STEPS for place in places), key=lambda pair: (":" not in pair[0], pair[0])
)
OTHER = "the rest"
_OWN = "benchmarks/sampler.py"
_ENQUEUE_SECONDS = 1.0
_BULK_SECONDS = 1.0


@dataclass(frozen=True)
class Cost:
    """Something that a task costs: microseconds, and how many times it happens for each task."""

    what: str
    us: float
    calls: float


def take_apart(entrant: Entrant, tasks: int) -> dict[str, Any]:
    """Return what a no-op costs in a child and in Redis, as plain data."""
    with tempfile.TemporaryDirectory(prefix="umbel-bench-") as folder:
        os.environ[sampler.VARIABLE] = folder
        try:
            with new_turn(entrant.name, entrant.peer, entrant.bin_dir) as turn:
                drained, redis = _drain(turn, tasks)
        finally:
            del os.environ[sampler.VARIABLE]
        steps = by_step(sampler.read(Path(folder)))
    publish = {}
    for how, job in (("one by one", "enqueue"), ("in bulk", "bulk")):
        with new_turn(entrant.name, entrant.peer, entrant.bin_dir) as turn:
            publish[how] = asdict(_publish(turn, job))
    samples = sum(steps.values())
    child_us = drained.worker_cpu_us or 0.0
    return {
        "tasks": tasks,
        "rate": drained.rate,
        "worker_cpu_us": drained.worker_cpu_us,
        "redis_cpu_us": drained.redis_cpu_us,
        "samples": samples,
        "steps": [
            {"step": step, "share": steps[step] / samples, "us": child_us * steps[step] / samples}
            for step in (*(step for step, _ in STEPS), OTHER)
            if samples
        ],
        "redis": [asdict(cost) for cost in redis],
        "publish": publish,
    }


def by_step(stacks: Counter[sampler.Stack]) -> Counter[str]:
    """Return the samples of each step."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        found[_step_of(stack)] += count
    return found


def _step_of(stack: Iterable[str]) -> str:
    for frame in stack:
        if _OWN in frame:
            continue
        for place, step in _PARTICULAR:
            path, _, function = place.partition(":")
            file, _, name = frame.rpartition(":")
            if (file.endswith(path) or (path.endswith("/") and path in file)) and function in ("", name):
                return step
    return OTHER


def _drain(turn: Turn, tasks: int) -> tuple[drain.Drain, list[Cost]]:
    preload(turn, "noop", tasks)
    turn.server.reset_statistics()
    with turn.worker() as worker:
        samples = drain.watch(turn.place.counters, tasks, worker, turn.server.process)
        return drain.evaluate(samples, tasks), _costs(turn.server, tasks)


def _publish(turn: Turn, job: str) -> Cost:
    """Return the processor time of Redis for each task that is sent, and the calls."""
    arguments: dict[str, Any] = {"task": "noop", "tasks": None, "seconds": _ENQUEUE_SECONDS}
    arguments |= {"warm_up": 0} if job == "enqueue" else {"size": turn.peer.bulk_size}
    turn.server.reset_statistics()
    before = cpu_seconds(turn.server.process.pid)
    sent = turn.produce(job, **arguments)["sent"]
    used = cpu_seconds(turn.server.process.pid) - before
    calls = _statistics(turn.server)["evalsha"][0]
    return Cost("publish", 1e6 * used / sent, calls / sent)


def _costs(server: Server, tasks: int) -> list[Cost]:
    """Return what the script and the commands in it cost for each task, the dearest first; the script holds the commands."""
    found = [Cost(name, us / tasks, calls / tasks) for name, (calls, us) in _statistics(server).items()]
    return sorted((cost for cost in found if cost.us >= 0.05), key=lambda cost: -cost.us)


def _statistics(server: Server) -> dict[str, tuple[int, float]]:
    """Return each command's calls and microseconds, by the server's own count."""
    found = {}
    for name, text in server.info("commandstats").items():
        fields = dict(pair.split("=") for pair in text.strip().split(","))
        found[name.removeprefix("cmdstat_")] = (int(fields["calls"]), float(fields["usec"]))
    return found
