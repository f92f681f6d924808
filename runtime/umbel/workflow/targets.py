"""Lists of targets, as a graph has them: put together here, nodes in a row as one."""

from __future__ import annotations


def of_nodes(entries: list[int]) -> tuple[str, ...]:
    """Return nodes as targets, those in a row as one."""
    return tuple(merged([f"n{entry}" for entry in entries]))


def merged(targets: list[str]) -> list[str]:
    """Return targets with those of one kind that follow each other put into one."""
    merged: list[str] = []
    runs: list[tuple[str, int, int]] = []
    for target in dict.fromkeys(targets):
        kind = target[0]
        if kind == "j":
            merged.append(target)
            continue
        first, last = span(target)
        if runs and runs[-1][0] == kind and runs[-1][2] + 1 == first:
            runs[-1] = (kind, runs[-1][1], last)
        else:
            runs.append((kind, first, last))
    return [f"{kind}{a}" if a == b else f"{kind}{a}-{b}" for kind, a, b in runs] + merged


def span(target: str) -> tuple[int, int]:
    """Return the first and the last number of a target."""
    first, _, last = target[1:].partition("-")
    return int(first), int(last or first)
