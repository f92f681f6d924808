"""Large and nested workflows, against Celery in the same run: ``python -m benchmarks.workflows``.

A chain, a chord, and nested workflows while workers are killed; of each the time, the messages, the most memory that Redis took,
and the largest message. What Celery cannot do at a size, it is given smaller, and the page says so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.environment import ensure_environment
from benchmarks.server import Server, fresh_server

#: Seconds between two kills, and how many there are at the most.
KILL_EVERY = 3.0
MOST_KILLS = 40

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Measure:
    """What one workflow, or a set of them, took."""

    who: str
    what: str
    size: int
    right: bool
    seconds: float
    messages: int
    peak_mib: float
    largest: int
    note: str = ""


class Watch(threading.Thread):
    """Looks at a Redis while something runs: its memory, and the largest value in its queues."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._ended = threading.Event()
        self.peak = 0
        self._before = int(server.info("memory")["used_memory"])

    def run(self) -> None:
        while not self._ended.wait(0.02):
            self.peak = max(self.peak, int(self._server.info("memory")["used_memory"]))

    def stop(self) -> float:
        """Return the most memory over that at the start, in MiB."""
        self._ended.set()
        self.join(10)
        return max(0, self.peak - self._before) / 2**20


@contextmanager
def worker(command: list[str], environment: dict[str, str]) -> Any:
    """Run a worker while the block lasts."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait(10)


def measured(server: Server, who: str, what: str, size: int, run: Callable[[], tuple[bool, int, int]]) -> Measure:
    """Run one thing; it returns whether the result was right, the messages, and the bytes of the largest."""
    watch = Watch(server)
    watch.start()
    begun = time.perf_counter()
    note = ""
    try:
        right, messages, largest = run()
    except Exception as error:  # what a peer cannot do is a result too
        right, messages, largest, note = False, 0, 0, f"{type(error).__name__}: {error}"[:120]
    seconds = time.perf_counter() - begun
    return Measure(who, what, size, right, round(seconds, 2), messages, round(watch.stop(), 1), largest, note)


def umbel(args: argparse.Namespace) -> list[Measure]:
    """Measure ourselves."""
    from benchmarks.workflowruns import ours

    found: list[Measure] = []
    with tempfile.TemporaryDirectory() as folder, fresh_server(Path(folder)) as server:
        environment = {"UMBEL_BROKER_URL": server.url, "BENCH_URL": server.url}
        command = [
            sys.executable,
            "-m",
            "umbel",
            "-A",
            "benchmarks.workflowruns.ours:app",
            "worker",
            "--concurrency",
            "2",
        ]
        command += ["--health-port", "0"]
        with worker(command, environment) as process:
            os.environ.update(environment)
            app = ours.connect(server.url)
            ours.warm(app)
            for what, size, run in (
                ("chain", args.chain, ours.chain),
                ("chord", args.chord, ours.chord),
            ):
                found.append(measured(server, "Umbel", what, size, lambda run=run, size=size: run(app, size)))  # type: ignore[misc]
                print(found[-1], file=sys.stderr)
            kills = Killer(process.pid, random.Random(1))
            kills.start()
            found.append(
                measured(server, "Umbel", "nested, under kills", args.nested, lambda: ours.nested(app, args.nested))
            )
            found[-1].note = f"{kills.stop()} children killed. {found[-1].note}".rstrip()
            print(found[-1], file=sys.stderr)
            app.close()
    return found


class Killer(threading.Thread):
    """Kills a child of a worker every three seconds, forty times at the most."""

    def __init__(self, pid: int, draw: random.Random) -> None:
        super().__init__(daemon=True)
        self._pid, self._draw, self._ended, self._killed = pid, draw, threading.Event(), 0

    def run(self) -> None:
        while self._killed < MOST_KILLS and not self._ended.wait(KILL_EVERY):
            children = [int(pid) for pid in Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text().split()]
            if children:
                try:
                    os.kill(self._draw.choice(children), signal.SIGKILL)
                    self._killed += 1
                except ProcessLookupError:
                    continue

    def stop(self) -> int:
        """Return how many were killed."""
        self._ended.set()
        self.join(10)
        return self._killed


def celery(args: argparse.Namespace) -> list[Measure]:
    """Measure Celery, in an environment of its own."""
    found: list[Measure] = []
    bin_dir = ensure_environment("celery")
    for what, size in (("chain", args.celery_chain), ("chord", args.celery_chord), ("nested", args.celery_nested)):
        with tempfile.TemporaryDirectory() as folder, fresh_server(Path(folder)) as server:
            environment = {"BENCH_URL": server.url, "PYTHONPATH": str(ROOT)}
            command = [str(bin_dir / "celery"), "-A", "benchmarks.workflowruns.theirs", "worker", "--pool", "prefork"]
            command += [
                "--concurrency",
                "2",
                "--loglevel",
                "ERROR",
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
            ]
            with worker(command, environment):
                client = [str(bin_dir / "python"), "-m", "benchmarks.workflowruns.theirs", what, str(size)]

                def run(client: list[str] = client, environment: dict[str, str] = environment) -> tuple[bool, int, int]:
                    done = subprocess.run(
                        client,
                        cwd=ROOT,
                        env={**os.environ, **environment},
                        capture_output=True,
                        text=True,
                        timeout=args.patience,
                    )
                    if done.returncode:
                        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no answer")
                    right, messages, largest = json.loads(done.stdout.splitlines()[-1])
                    return bool(right), int(messages), int(largest)

                found.append(measured(server, "Celery", what, size, run))
                print(found[-1], file=sys.stderr)
    return found


def table(rows: list[Measure]) -> str:
    """Return the measures as a Markdown table."""
    lines = [
        "| | workflow | size | right | s | messages | Redis, most MiB | largest message, bytes | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        messages = f"{row.messages:,}" if row.messages else "not counted"
        lines.append(
            f"| {row.who} | {row.what} | {row.size:,} | {'yes' if row.right else 'no'} | {row.seconds:g} | {messages} | "
            f"{row.peak_mib:g} | {row.largest:,} | {row.note} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure both and print a table, or JSON with ``--json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workflows", description=__doc__)
    parser.add_argument("--chain", type=int, default=10_000)
    parser.add_argument("--chord", type=int, default=100_000)
    parser.add_argument("--nested", type=int, default=1_000)
    parser.add_argument("--celery-chain", type=int, default=1_000)
    parser.add_argument("--celery-chord", type=int, default=10_000)
    parser.add_argument("--celery-nested", type=int, default=100)
    parser.add_argument("--patience", type=float, default=300.0, help="seconds for one of Celery's")
    parser.add_argument("--only", choices=("umbel", "celery"))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    load = os.getloadavg()
    rows = [] if args.only == "celery" else umbel(args)
    rows += [] if args.only == "umbel" else celery(args)
    print(
        json.dumps([asdict(row) for row in rows]) if args.json else f"{table(rows)}\n\nload at the start: {load[0]:.1f}"
    )
    return 0 if all(row.right for row in rows if row.who == "Umbel") else 1


if __name__ == "__main__":
    sys.exit(main())
