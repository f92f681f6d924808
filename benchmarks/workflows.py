"""Large and nested workflows, against Celery in the same run: ``python -m benchmarks.workflows``.

A chain, a chord, and nested workflows; of each the time, the messages, the most memory that Redis took, and the largest message.
Ours once more while children of the worker are killed, which Celery's are never. What Celery cannot do at a size, it is given
smaller, and the page says so.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.environment import ensure_environment
from benchmarks.server import Server, fresh_server

#: Children of a worker; more of them where one is killed every so many seconds, since one that dies young is born again later.
CHILDREN = 2
CHILDREN_UNDER_KILLS = 8
KILL_EVERY = 1.0
#: How many of the children that run a task may be killed before it is taken for the cause.
MOST_DEATHS = 50

if TYPE_CHECKING:
    from umbel import Umbel
    from umbel.broker.base import Liveness

ROOT = Path(__file__).resolve().parent.parent


class PeerFailed(Exception):
    """A peer could not do it: that is a result too."""


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
    except PeerFailed as error:
        right, messages, largest, note = False, 0, 0, str(error)[:120]
    seconds = time.perf_counter() - begun
    return Measure(who, what, size, right, round(seconds, 2), messages, round(watch.stop(), 1), largest, note)


def umbel(args: argparse.Namespace) -> list[Measure]:
    """Measure ourselves, undisturbed and under kills."""
    from benchmarks.workflowruns import ours

    runs = (("chain", args.chain, ours.chain), ("chord", args.chord, ours.chord), ("nested", args.nested, ours.nested))
    found: list[Measure] = []
    for kills in (False, True):
        with tempfile.TemporaryDirectory() as folder, fresh_server(Path(folder)) as server:
            environment = {"UMBEL_BROKER_URL": server.url, "BENCH_URL": server.url}
            command = [sys.executable, "-m", "umbel", "-A", "benchmarks.workflowruns.ours:app", "worker"]
            command += ["--concurrency", str(CHILDREN_UNDER_KILLS if kills else CHILDREN), "--health-port", "0"]
            with worker(command, environment), ours.connected(server.url) as app:
                if kills:
                    app.broker.configure("default", {"max_deliveries": MOST_DEATHS}, 1)
                for what, size, run in runs:
                    with killing(app if kills else None) as killer:
                        measure = measured(server, "Umbel", what, size, partial(run, app, size))
                    if killer is not None:
                        measure.what, measure.note = f"{what}, under kills", f"{killer.killed} children killed"
                    print(measure, file=sys.stderr)
                    found.append(measure)
    return found


class Killer(threading.Thread):
    """Kills one of the children that run tasks now and then."""

    def __init__(self, app: Umbel, draw: random.Random) -> None:
        super().__init__(daemon=True)
        self._liveness: Liveness = app.broker.liveness()
        self._draw, self._ended = draw, threading.Event()
        self.killed = 0

    def run(self) -> None:
        while not self._ended.wait(KILL_EVERY):
            owner = self._draw.choice(self._liveness.owners() or [None])
            if owner is not None:
                with suppress(ProcessLookupError):  # it was killed before, and is not buried yet
                    os.kill(owner.pid, signal.SIGKILL)
                    self.killed += 1

    def stop(self) -> None:
        """Kill no more."""
        self._ended.set()
        self.join(10)
        self._liveness.close()


@contextmanager
def killing(app: Umbel | None) -> Iterator[Killer | None]:
    """Kill children of an app's worker while the block lasts; none without an app."""
    if app is None:
        yield None
        return
    killer = Killer(app, random.Random(1))
    killer.start()
    try:
        yield killer
    finally:
        killer.stop()


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
                str(CHILDREN),
                "--loglevel",
                "ERROR",
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
            ]
            with worker(command, environment):
                client = [str(bin_dir / "python"), "-m", "benchmarks.workflowruns.theirs", what, str(size)]

                def run(client: list[str] = client, environment: dict[str, str] = environment) -> tuple[bool, int, int]:
                    try:
                        done = subprocess.run(
                            client,
                            cwd=ROOT,
                            env={**os.environ, **environment},
                            capture_output=True,
                            text=True,
                            timeout=args.patience,
                        )
                    except subprocess.TimeoutExpired:
                        raise PeerFailed(f"no result after {args.patience:g} s") from None
                    if done.returncode:
                        raise PeerFailed(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no answer")
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
