"""`python -m tests.chaos.storm`: run a storm, print its figures, exit with 1 if anything is wrong."""

from __future__ import annotations

import argparse
import random
import signal
import sys

from rich.console import Console
from tests.chaos.storm.run import Outcome, Storm, ride

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Read the command line, run the storm, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.storm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None, help="of an earlier run, to have its plan again")
    parser.add_argument("--rate", type=float, default=150.0, help="tasks sent a second")
    parser.add_argument("--fsync", choices=["always", "everysec"], default="always", help="of the append-only file")
    parser.add_argument(
        "--patience", type=float, default=1.0, help="times the bounds on recoveries, where the machine does much else"
    )
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**9) if given.seed is None else given.seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # by way of what ends all processes
    storm = Storm(given.minutes * 60.0, seed, given.rate, given.fsync, given.patience)
    outcome = ride(storm, lambda text: console.print(text, style="dim", markup=False))
    _print(storm, outcome)
    return 1 if outcome.verdict.wrong else 0


def _print(storm: Storm, outcome: Outcome) -> None:
    verdict = outcome.verdict
    rows: list[tuple[str, object]] = [
        ("minutes, seed", f"{storm.seconds / 60:g}, {storm.seed}"),
        ("faults", ", ".join(f"{kind} {count}" for kind, count in sorted(outcome.faults.items()))),
        ("tasks sent", verdict.sent),
        ("executed", verdict.executed),
        ("lost", verdict.lost),
        ("repeated", verdict.repeated),
        ("dead-lettered", verdict.dead),
        ("uncertain sends", verdict.uncertain),
        ("refused sends", f"{verdict.refused} (slowest send {outcome.slowest_send:.1f} s)"),
        ("runs of schedules", verdict.ticks),
        ("results waited for", f"{outcome.waiters[0]} came in time, {outcome.waiters[1]} did not"),
    ]
    for kind, (count, worst) in verdict.recoveries.items():
        rows.append((f"worst recovery of a {kind}", f"{worst:.2f} s (of {count})"))
    rows += [("supervisor", size) for size in outcome.sizes]
    for name, value in rows:
        console.print(f"{name + ' ':.<30} {value}", markup=False)
    for sentence in verdict.wrong:
        console.print(f"WRONG: {sentence}", markup=False)
    console.print("nothing is lost" if not verdict.wrong else f"{len(verdict.wrong)} things are wrong")


if __name__ == "__main__":
    sys.exit(main())
