"""`python -m benchmarks.page`: write the figures of a run into docs/explanation/performance.md.

The figures stand between the comments `<!-- figures: NAME -->` and `<!-- /figures -->`; nobody writes there by hand. The run
itself is kept beside, in `benchmarks/published.json`, so that the page can be checked against it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import HERE, ROOT
from benchmarks.published import anatomy, goals, growth, machine, mixed, notes, peers

PAGE = ROOT / "docs" / "explanation" / "performance.md"
PUBLISHED = HERE / "published.json"

_REGION = re.compile(r"(<!-- figures: (?P<name>[a-z-]+) -->\n).*?(<!-- /figures -->)", re.DOTALL)

Table = Iterable[str]
#: Name -> the part of a run that has the figures, and what makes the table.
TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], Table]]] = {
    "machine": ("machine", machine),
    "speed": ("figures", lambda run: peers(run, "drain", "work", "enqueue", "bulk")),
    "waiting": ("figures", lambda run: peers(run, "latency", "waiters")),
    "standing": ("figures", lambda run: peers(run, "memory", "recovery")),
    "notes": ("figures", notes),
    "goals": ("figures", goals),
    "child": ("anatomy", lambda run: anatomy(run, "steps")),
    "redis": ("anatomy", lambda run: anatomy(run, "redis")),
    "publish": ("anatomy", lambda run: anatomy(run, "publish")),
    "children": ("growth", lambda run: growth(run, "children")),
    "payload": ("growth", lambda run: growth(run, "payload")),
    "length": ("growth", lambda run: growth(run, "length")),
    "mixed": ("mixed", mixed),
}


def render(page: str, run: dict[str, Any]) -> str:
    """Return the page with the run's figures.

    Raises KeyError if the page asks for figures that do not exist.
    """

    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        part, table = TABLES[name]
        lines = "\n".join(table(run)) if part in run else "(not measured in this run)"
        return f"{match[1]}\n{lines}\n\n{match[3]}"

    return _REGION.sub(fill, page)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or with --check tell by 1 that it does not show what was published."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("results", nargs="?", type=Path, help="the newest in benchmarks/results unless given")
    parser.add_argument(
        "--check", action="store_true", help="compare the page with what was published, and write nothing"
    )
    options = parser.parse_args(arguments)
    if options.check:
        same = render(PAGE.read_text(), json.loads(PUBLISHED.read_text())) == PAGE.read_text()
        if not same:
            print(
                f"{PAGE.relative_to(ROOT)} is not what {PUBLISHED.name} says: python -m benchmarks.page",
                file=sys.stderr,
            )
        return 0 if same else 1
    results = options.results or max((HERE / "results").glob("*.json"))
    text = results.read_text()
    PAGE.write_text(render(PAGE.read_text(), json.loads(text)))
    if results != PUBLISHED:
        PUBLISHED.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
