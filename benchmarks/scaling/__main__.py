"""Simulate the built-in scaler and draw what it does; `--load FILE --out FILE` does so for a load of yours.

Without options it writes the pictures and the table of docs/explanation/scaling.md; `--check` only says whether they are current.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.scaling.loads import CASES, read
from benchmarks.scaling.picture import draw
from benchmarks.scaling.simulation import Outcome, simulate
from umbel_operator.api.autoscaling import QueueScaling

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "scaling.md"
BEGIN, END = "<!-- figures: make simulate-scaling -->\n", "<!-- end of figures -->\n"
HEAD = "| load | tasks | pods at most | hours of pods | changes | average wait | longest wait |\n|---|---|---|---|---|---|---|"


def picture_of(name: str) -> Path:
    """Name the file with the picture of a case."""
    return PAGE.parent / f"scaling-{name}.svg"


def row(title: str, outcome: Outcome) -> str:
    """Return the figures of a simulation as a row of a table."""
    average = outcome.waited / max(1, outcome.tasks)
    cells = (title, f"{outcome.tasks:,}", outcome.most, f"{outcome.pod_seconds / 3600:.1f}", outcome.changes)
    return f"| {' | '.join(map(str, cells))} | {average:.1f} s | {outcome.longest} s |"


def files() -> dict[Path, str]:
    """Simulate all cases; return what the documents should hold."""
    found: dict[Path, str] = {}
    rows = [HEAD]
    for case in CASES:
        arrivals = read(case.file)
        outcome = simulate(case, arrivals)
        rows.append(row(case.title, outcome))
        found[picture_of(case.name)] = draw(case, arrivals, outcome)
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    found[PAGE] = f"{before}{BEGIN}\n{chr(10).join(rows)}\n\n{END}{after}"
    return found


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; end with 1 where a file is not current.")
@click.option(
    "--load", type=click.Path(path_type=Path, exists=True), help="CSV file with the columns minute and tasks."
)
@click.option("--out", type=click.Path(path_type=Path), default="scaling.svg", show_default=True, help="Picture of it.")
@click.option("--min", "least", type=int, default=1, show_default=True, help="minReplicas")
@click.option("--max", "most", type=int, default=20, show_default=True, help="maxReplicas")
@click.option("--per-replica", type=int, default=8, show_default=True, help="tasksPerReplica")
@click.option("--slots", type=int, default=4, show_default=True, help="Tasks that one pod runs at once.")
@click.option("--runtime", type=float, default=5, show_default=True, help="Seconds that a task runs.")
@click.option("--startup", type=float, default=20, show_default=True, help="Seconds until a new pod takes tasks.")
def main(
    check: bool,
    load: Path | None,
    out: Path,
    least: int,
    most: int,
    per_replica: int,
    slots: int,
    runtime: float,
    startup: float,
) -> None:
    """Simulate the built-in scaler and draw what it does."""
    if load is None:
        sys.exit(_write(files(), check))
    settings = QueueScaling(min_replicas=least, max_replicas=most, tasks_per_replica=per_replica)
    case = replace(
        CASES[0], title=load.stem, settings=settings, slots=slots, runtime=runtime, startup=startup, replicas=least
    )
    arrivals = read(load)
    outcome = simulate(case, arrivals)
    out.write_text(draw(case, arrivals, outcome), encoding="utf-8")
    click.echo(f"{HEAD}\n{row(load.stem, outcome)}\n\n{out}")


def _write(wanted: dict[Path, str], check: bool) -> int:
    stale = [file for file, text in wanted.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    for file in stale:
        if check:
            click.echo(f"{file.relative_to(ROOT)} is not current; run: make simulate-scaling", err=True)
        else:
            file.write_text(wanted[file], encoding="utf-8")
            click.echo(f"wrote {file.relative_to(ROOT)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    main()
