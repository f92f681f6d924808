"""What runs in the soak: a task that does nothing, and the ways in which one may end otherwise."""

from __future__ import annotations

from typing import Any

from umbel import Umbel

#: Seconds that results stay: soon enough for Redis to be empty again when the soak looks at it.
KEEP = 2

app = Umbel("soak", result_expires=KEEP)


@app.task
def noop() -> None:
    """Do nothing."""


@app.task
def returns(size: int) -> str:
    return "x" * size


@app.task
def fails(number: int) -> None:
    raise ValueError(f"{number} is as good as any")


@app.task(bind=True, max_retries=2)
def comes_again(self: Any) -> int:
    if self.request.retries < 1:
        raise self.retry(countdown=0.01)
    return int(self.request.retries)


@app.task(ignore_result=True)
def silent() -> None:
    """Do nothing, and say nothing."""


@app.task
async def awaits() -> None:
    """Do nothing, in a loop of its own."""
