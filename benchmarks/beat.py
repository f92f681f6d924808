"""``python -m benchmarks.beat``: many Schedules that are due in the same second: how late they are sent, and what that costs.

A beat with a directory of definitions, as the operator mounts it, and a fresh Redis. All Schedules fire each minute in the zone
Europe/Berlin, into ten queues. A burst is one such minute; the first one, for which beat loads and takes up everything, is not
counted. How late a run is, is what its message says: when Redis took it in, less its slot.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.machine import describe, load
from benchmarks.processes import Process
from benchmarks.proctree import cpu_seconds, memory
from benchmarks.server import Server, fresh_server
from umbel import message as messages
from umbel.redis import keys
from umbel.redis.connection import RedisConnection
from umbel.redis.endpoint import Endpoint

PREFIX = "umbel"
QUEUES = 10
#: Schedules in one shard, as many as fit into half a MiB.
SHARD = 1000
#: Seconds after its minute in which a burst has to be over.
PATIENCE = 50.0


@dataclass(frozen=True)
class Burst:
    """What one minute showed: seconds that runs were late, and processor seconds of beat and Redis."""

    runs: int
    median: float
    p99: float
    worst: float
    beat_cpu: float
    redis_cpu: float


@dataclass(frozen=True)
class Measured:
    """What a run showed: the first burst, which warms up, then the others; memory of beat in MiB."""

    schedules: int
    first: Burst
    bursts: list[Burst]
    beat_rss_mib: float
    machine: dict[str, object]


def definitions(count: int, directory: Path) -> None:
    """Write the directory that beat reads."""
    digests = {}
    for start in range(0, count, SHARD):
        entries = [_schedule(number) for number in range(start, min(count, start + SHARD))]
        name = f"shard-{start // SHARD:03}.json"
        text = json.dumps({"schedules": entries}).encode()
        (directory / name).write_bytes(text)
        digests[name] = hashlib.sha256(text).hexdigest()
    index = {"layout": 1, "serial": 1, "source": "bench", "shards": digests}
    (directory / "index.json").write_text(json.dumps(index))


def _schedule(number: int) -> dict[str, object]:
    return {
        "uid": f"00000000-0000-4000-8000-{number:012}",
        "name": f"report-{number}",
        "namespace": "shop",
        "generation": 1,
        "queue": f"queue-{number % QUEUES}",
        "task": {"name": "shop.tasks.report", "args": [number], "kwargs": {"format": "pdf"}},
        "trigger": {"type": "Cron", "cron": {"expression": "* * * * *", "timeZone": "Europe/Berlin"}},
        "catchUp": {"policy": "Latest"},
        "concurrencyPolicy": "Allow",
    }


class Watch:
    """Looks at what beat sends.

    Args:
        server: the Redis.
        beat: the process.
    """

    def __init__(self, server: Server, beat: Process) -> None:
        self._server = server
        self._beat = beat
        self._connection: RedisConnection = Endpoint(server.url).connect(5.0)
        self._lists = [keys.queue(PREFIX, f"queue-{number}").ready[5] for number in range(QUEUES)]

    def burst(self, count: int) -> Burst:
        """Wait for the next minute, and until all runs of it were sent."""
        slot = (int(time.time()) // 60 + 1) * 60
        time.sleep(max(0.0, slot - 1 - time.time()))
        self._connection.call(b"DEL", *self._lists)
        beat, redis = self._cpu()
        while self._sent() < count:
            if time.time() > slot + PATIENCE:
                raise BenchmarkError(f"{self._sent()} of {count} runs were sent {PATIENCE:g} s after their minute")
            time.sleep(0.05)
        beat_after, redis_after = self._cpu()
        late = sorted(self._late(slot))
        return Burst(
            len(late),
            round(statistics.median(late), 3),
            round(late[int(len(late) * 0.99)], 3),
            round(late[-1], 3),
            round(beat_after - beat, 2),
            round(redis_after - redis, 2),
        )

    def _sent(self) -> int:
        return sum(self._connection.call_many([(b"LLEN", name) for name in self._lists]))

    def _late(self, slot: int) -> list[float]:
        found = []
        for name in self._lists:
            for raw in self._connection.call(b"LRANGE", name, 0, -1):
                found.append(messages.decode(raw).enqueued_ms / 1000 - slot)
        return found

    def _cpu(self) -> tuple[float, float]:
        return cpu_seconds(self._beat.pid), cpu_seconds(self._server.process.pid)


def measure(count: int, bursts: int) -> Measured:
    """Return the figures."""
    with tempfile.TemporaryDirectory() as folder, fresh_server(Path(folder)) as server:
        config = Path(folder, "config")
        config.mkdir()
        definitions(count, config)
        command = [sys.executable, "-m", "umbel", "beat", "--config-dir", str(config), "--loglevel", "INFO"]
        beat = Process("beat", command, {"UMBEL_BROKER_URL": server.url}, Path(folder))
        try:
            watch = Watch(server, beat)
            warm_up = watch.burst(count)
            found = [watch.burst(count) for _ in range(bursts)]
            held = memory(beat.pid)
        finally:
            beat.stop()
    return Measured(count, warm_up, found, round(held.rss / 1024, 1), describe())


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beat", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000, help="due in the same second (default: 10,000)")
    parser.add_argument("--bursts", type=int, default=2, help="minutes to look at (default: 2)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    before = load()
    try:
        found = measure(options.schedules, options.bursts)
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    out = sys.stdout.write
    out(f"{options.schedules} Schedules due in the same second; load {before} before, {load()} after\n\n")
    out("| burst | runs | median | p99 | last | processor: beat | Redis |\n|---|---|---|---|---|---|---|\n")
    for number, burst in enumerate(found.bursts, 1):
        out(
            f"| {number} | {burst.runs} | {burst.median} s | {burst.p99} s | {burst.worst} s "
            f"| {burst.beat_cpu} s | {burst.redis_cpu} s |\n"
        )
    out(f"\nbeat holds {found.beat_rss_mib} MiB\n")
    if options.json:
        options.json.write_text(json.dumps(asdict(found), indent=2))
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
