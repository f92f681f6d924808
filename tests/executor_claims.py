"""What the table in docs/explanation/executors.md says of each executor: the tests of the executors hold it to that."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "executors.md"


def claims() -> dict[str, dict[str, str]]:
    """Return what the table says: by executor, by the first cell of a row."""
    lines = PAGE.read_text().partition("<!-- claims -->\n")[2].splitlines()
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    head, _, *body = rows
    return {name: {row[0]: row[number] for row in body} for number, name in enumerate(head) if name}
