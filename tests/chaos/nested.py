"""Nested workflows at random, with what they are to return."""

from __future__ import annotations

import random

from tests.signatures import Shape, chain, chord, group, task


def nested(draw: random.Random, depth: int) -> tuple[Shape, int]:
    """Return a workflow of so many levels, and the number that it returns."""
    if depth == 0:
        x, y = draw.randrange(100), draw.randrange(100)
        return task("logged_add", x, y), x + y
    kind = draw.choice(("chain", "chord", "chord", "middle"))
    if kind == "chain":
        first, value = nested(draw, depth - 1)
        steps = [draw.randrange(10) for _ in range(draw.randint(1, 3))]
        return chain(first, *(task("logged_add", step) for step in steps)), value + sum(steps)
    if kind == "chord":
        members = [nested(draw, depth - 1) for _ in range(draw.randint(1, 3))]
        more = draw.randrange(10)
        return chord([member for member, _ in members], task("logged_total", more)), sum(v for _, v in members) + more
    first, value = nested(draw, depth - 1)
    steps = [draw.randrange(10) for _ in range(3)]
    whole = chain(first, group([task("logged_add", step) for step in steps]), task("logged_total"))
    return whole, sum(value + step for step in steps)


def failing(draw: random.Random, depth: int) -> Shape:
    """Return a workflow of so many levels in which one task fails."""
    if depth == 0:
        return chain(task("logged_add", 1, 1), task("fail"))
    inner = failing(draw, depth - 1)
    if draw.random() < 0.5:
        return chain(inner, task("logged_add", 1))
    return chord([nested(draw, 0)[0], inner], task("logged_total"))
