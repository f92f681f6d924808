"""The command line: which parts, which peers, which measures, how much, where the figures go."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import machine
from benchmarks.adapter import Role
from benchmarks.anatomy import take_apart
from benchmarks.environment import HERE, PEERS, ensure_environment, installed_versions
from benchmarks.errors import BenchmarkError
from benchmarks.goals import judge
from benchmarks.growth import grow
from benchmarks.measures import MEASURES, Sizes
from benchmarks.mixed import mix
from benchmarks.processes import no_orphans
from benchmarks.producer import load_peer
from benchmarks.report import build_document, build_goal_table, build_table
from benchmarks.rounds import Entrant, Record, take_rounds

_RESULTS = HERE / "results"
_INTERRUPTED = 130
#: To which the table compares, unless other peers are asked for.
_FIRST = "celery"
_OURS = "umbel"
_ANATOMY_TASKS = 400_000
#: What a run consists of: the comparison, and some looks at ours alone.
PARTS = ("peers", "anatomy", "growth", "mixed")
#: Columns of the tables where there is no terminal to ask.
_PLAIN_WIDTH = 190


def known_peers() -> list[str]:
    """Return the folders of `peers/` that have an adapter: the peers, Celery first, then ours, then the yardstick."""
    names = [path.parent.name for path in PEERS.glob("*/adapter.py")]
    return sorted(names, key=lambda name: (list(Role).index(load_peer(name).role), name != _FIRST, name))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; a wrong value ends the program with the reason."""
    sizes = Sizes()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peers", type=_some_of(known_peers()), default=known_peers(), metavar="A,B")
    parser.add_argument("--measures", type=_some_of(list(MEASURES)), default=list(MEASURES), metavar="A,B")
    parser.add_argument("--rounds", type=_positive, default=2, metavar="N")
    parser.add_argument(
        "--tasks", type=_positive, default=sizes.tasks, metavar="N", help="of a drain at Celery's speed"
    )
    parser.add_argument(
        "--seconds", type=float, default=sizes.seconds, metavar="S", help="of sending, for the enqueue rates"
    )
    parser.add_argument("--trips", type=_positive, default=sizes.trips, metavar="N", help="round trips")
    parser.add_argument(
        "--waiters", type=_positive, default=sizes.waiters, metavar="N", help="results that one process waits for"
    )
    parser.add_argument(
        "--recovery",
        type=float,
        default=sizes.recovery,
        metavar="S",
        help="how long a killed worker's tasks are awaited",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--parts", type=_some_of(PARTS), default=list(PARTS), metavar="A,B", help=", ".join(PARTS))
    parser.add_argument("--check", action="store_true", help="exit with 2 if a goal is missed")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, 1 if anything failed, 2 with --check if a goal was missed, 130 on Ctrl-C."""
    options = parse(arguments)
    try:
        with no_orphans():
            return _run(options)
    except BenchmarkError as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: everything that was started has been stopped, nothing was recorded", file=sys.stderr)
        return _INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    sizes = Sizes(options.tasks, options.seconds, options.trips, options.waiters, options.recovery)
    measures = [MEASURES[name] for name in options.measures]
    about = machine.describe()
    entrants = [_enter(name) for name in options.peers]
    with Console(stderr=True).status("…") as status:
        peers = "peers" in options.parts
        record = take_rounds(entrants, measures, sizes, options.rounds, status.update) if peers else Record()
        ours = _take_ours(options.parts, status.update, record)
    about["load_after"] = machine.load()
    verdicts = judge(record, entrants)
    if record.figures:
        console.print(build_table(record, entrants, measures, options.rounds))
    if verdicts:
        console.print(build_goal_table(verdicts, MEASURES))
    console.print(" · ".join(f"{key} {value}" for key, value in about.items()))
    now = datetime.datetime.now(datetime.UTC)
    document = build_document(record, entrants, verdicts, sizes, about, now.isoformat(timespec="seconds"))
    for sentence in (*record.notes, *record.failures):
        print(sentence, file=sys.stderr)
    _write(document | ours, _RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json", options.json)
    if record.failures:
        return 1
    return 2 if options.check and not all(verdict.met for verdict in verdicts) else 0


def _take_ours(parts: Sequence[str], tell: Callable[[str], None], record: Record) -> dict[str, Any]:
    """Return what was found out about ours alone, as far as asked for; a part that fails is a sentence in the record."""
    ways: dict[str, Callable[[Entrant], Any]] = {
        "anatomy": lambda ours: take_apart(ours, _ANATOMY_TASKS),
        "growth": lambda ours: grow(ours, tell),
        "mixed": lambda ours: mix(ours, tell),
    }
    found: dict[str, Any] = {}
    for part, take in ways.items():
        if part in parts:
            tell(part)
            try:
                found[part] = take(_enter(_OURS))
            except BenchmarkError as error:
                record.failures.append(f"{part}: {error}")
    return found


def _write(document: dict[str, Any], *paths: Path | None) -> None:
    _RESULTS.mkdir(exist_ok=True)
    for path in paths:
        if path is not None:
            path.write_text(json.dumps(document, indent=1) + "\n")


def _enter(name: str) -> Entrant:
    bin_dir = ensure_environment(name)
    return Entrant(name, load_peer(name), bin_dir, installed_versions(bin_dir))


def _some_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",")]
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return chosen

    return names


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value
