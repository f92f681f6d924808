"""The workflows of the benchmark on Umbel."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from umbel import Umbel
from umbel import canvas as c
from umbel.canvas.sending import send
from umbel.workflow.compiling import Compiler

app = Umbel("workflows", broker=os.environ.get("BENCH_URL", "redis://"), workflow_kept=0, result_expires=600)
SECONDS = 1800.0


@app.task
def increase(number: int, by: int = 1) -> int:
    """Return the number and one more."""
    return number + by


@app.task
def total(numbers: list[int]) -> int:
    """Return the sum."""
    return sum(numbers)


@contextmanager
def connected(url: str) -> Iterator[Umbel]:
    """Have the app send to a server while the block lasts, from when its worker works."""
    app.conf.update(broker_url=url)
    try:
        increase.delay(1).get(timeout=60)
        yield app
    finally:
        app.close()


def _sizes(app: Umbel, signature: Any) -> tuple[int, int]:
    """Return how many messages a workflow has, and how large the largest is that it begins with or stores."""
    compiler = Compiler(app)
    compiler.compile(c.completed(signature))
    payloads = [len(one.payload) for queue in compiler.outgoing.values() for _, one in queue]
    stored = [len(node.template.payload) for node in compiler.graph.nodes.values()]
    return compiler.graph.size, max(payloads + stored)


def chain(app: Umbel, size: int) -> tuple[bool, int, int]:
    """Run a chain of so many steps."""
    made = c.chain.of([increase.s(0), *(increase.s() for _ in range(size - 1))], app=app)
    result = send(app, made)
    return result.get(timeout=SECONDS) == size, *_sizes(app, made)


def chord(app: Umbel, size: int) -> tuple[bool, int, int]:
    """Run a chord with so many members in its header."""
    made = c.chord([increase.s(number) for number in range(size)], total.s(), app=app)
    result = send(app, made)
    return result.get(timeout=SECONDS, follow_parents=False) == sum(range(1, size + 1)), *_sizes(app, made)


def _nested(draw: random.Random, depth: int) -> tuple[Any, int]:
    if depth == 0:
        number = draw.randrange(100)
        return increase.s(number), number + 1
    if draw.random() < 0.4:
        inner, value = _nested(draw, depth - 1)
        return c.chain.of([inner, increase.s(), increase.s()]), value + 2
    members = [_nested(draw, depth - 1) for _ in range(draw.randint(2, 3))]
    return c.chord([member for member, _ in members], total.s()), sum(value for _, value in members)


def nested(app: Umbel, count: int) -> tuple[bool, int, int]:
    """Run so many nested workflows at once."""
    draw = random.Random(7)
    made = [_nested(draw, 3) for _ in range(count)]
    results = [send(app, signature) for signature, _ in made]
    right = [result.get(timeout=SECONDS, follow_parents=False) for result in results] == [value for _, value in made]
    sizes = [_sizes(app, signature) for signature, _ in made]
    return right, sum(size for size, _ in sizes), max(largest for _, largest in sizes)
