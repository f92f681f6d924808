"""The tables of docs/coming-from-celery.md: their rows, and how the names in them are found in Umbel.

A comment in front of a table says which of Celery's names are in its first column (areas of celery_names.json; a word after a
``/`` is a command that stands before each of them) and where the bare names of its third column are looked for:

``<!-- celery: signals; umbel: umbel.signals -->``    attributes of a module or a class
``<!-- celery: command line/celery call; umbel: umbel call -->``    options of a command
``<!-- celery: -; umbel: - -->``    no list to compare with; only names that say themselves where they are

Such names are: ``umbel.module.name``, ``umbel command --option``, ``UMBEL_VARIABLE``, ``redis://``, ``@app.task(option=)``,
``apply_async(option=)``, ``conf.setting``, ``app.…``, ``task.…``, ``result.…``, ``request.…``; parameters stand in parentheses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.workers import ROOT

PAGE = ROOT / "docs/coming-from-celery.md"
VERDICTS = ("same", "better", "not offered")
_TABLE = re.compile(r"<!-- celery: (?P<celery>.*?); umbel: (?P<umbel>.*?) -->\n\n(?P<rows>(?:\|.*\n)+)")
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Row:
    """One row: the line where it stands, Celery's names, the verdict, Umbel's names, the explanation."""

    line: int
    celery: tuple[str, ...]
    verdict: str
    umbel: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Table:
    """One table: Celery's areas, what stands before each of its names, where bare names are, the rows."""

    areas: tuple[str, ...]
    before: str
    place: str
    rows: tuple[Row, ...]

    def covers(self, name: str) -> bool:
        """Tell whether a row names this name of Celery's."""
        patterns = [f"{self.before} {cell}".strip() for row in self.rows for cell in row.celery]
        return any(name == pattern or ("*" in pattern and fnmatchcase(name, pattern)) for pattern in patterns)


def tables() -> list[Table]:
    """Return the tables of the page.

    Raises:
        ValueError: a table has no comment in front of it, or a row has not four cells.
    """
    text = PAGE.read_text(encoding="utf-8")
    part = text[text.index("## Every name of Celery") :]
    offset = text.count("\n", 0, len(text) - len(part))
    found = [_table(match, offset + part.count("\n", 0, match.start("rows")) + 1) for match in _TABLE.finditer(part)]
    if len(found) != part.count("|---|---|---|---|\n"):
        raise ValueError(
            "each table needs a comment in front of it, such as <!-- celery: signals; umbel: umbel.signals -->"
        )
    return found


def _table(match: re.Match[str], line: int) -> Table:
    areas, _, before = match["celery"].partition("/")
    rows = tuple(_row(text, line + number) for number, text in enumerate(match["rows"].splitlines()) if number > 1)
    return Table(tuple(areas.split(", ")) if areas != "-" else (), before, match["umbel"], rows)


def _row(text: str, line: int) -> Row:
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", text.strip("|"))]
    if len(cells) != 4:
        raise ValueError(f"{PAGE.name}:{line}: a row has four cells, this one {len(cells)}: {text}")
    return Row(line, tuple(_CODE.findall(cells[0])), cells[1], tuple(_CODE.findall(cells[2])), cells[3])
