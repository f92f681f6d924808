"""How our throughput grows with children, with the size of messages and with the length of the queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks import drain
from benchmarks.measures import preload
from benchmarks.rounds import Entrant
from benchmarks.turn import new_turn

CHILDREN = (1, 2, 4, 8)
#: Bytes of text that a message carries besides.
PAYLOADS = (0, 1_000, 10_000, 60_000)
LENGTHS = (50_000, 200_000, 1_000_000)
#: How many tasks are drained, of a queue that is longer, and of one whose messages are large: bytes of all messages at most.
_TASKS = 120_000
_BYTES = 200_000_000


def grow(entrant: Entrant, tell: Callable[[str], None], tasks: int = _TASKS) -> dict[str, list[dict[str, Any]]]:
    """Drain queue after queue; return for each the tasks a second, and the processor time of a task in worker and Redis."""

    def take(*, length: int, part: int, children: int = 2, payload: int = 0) -> dict[str, Any]:
        tell(f"growth: {length} queued, {children} children, {payload} bytes")
        with new_turn(entrant.name, entrant.peer, entrant.bin_dir, processes=children, payload=payload) as turn:
            sent = preload(turn, "noop", length)
            memory = int(turn.server.info("memory")["used_memory"])
            with turn.worker() as worker:
                samples = drain.watch(turn.place.counters, part, worker, turn.server.process)
            result = drain.evaluate(samples, part, part=part < length)
        return {
            "rate": result.rate,
            "worker_cpu_us": result.worker_cpu_us,
            "redis_cpu_us": result.redis_cpu_us,
            "sent_rate": sent["rate"],
            "redis_bytes": memory / length,
        }

    def of_size(payload: int) -> int:
        return min(tasks, _BYTES // (payload + 300))

    return {
        "children": [{"children": n} | take(length=tasks, part=tasks, children=n) for n in CHILDREN],
        "payload": [{"payload": n} | take(length=of_size(n), part=of_size(n), payload=n) for n in PAYLOADS],
        "length": [{"length": n} | take(length=n, part=min(n, tasks)) for n in LENGTHS],
    }
