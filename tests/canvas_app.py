"""The app whose tasks the tests of workflows on workers are made of. What a task heard is written outside Redis: one line each."""

from __future__ import annotations

import os
import time
from typing import Any

from umbel import Ignore, Task, Umbel, group, signature

app = Umbel("canvas", result_expires=600, set_as_current=False)


def hear(word: str, *what: Any) -> None:
    """Append a line to the ledger in one write, so that lines of several processes never mix."""
    ledger = os.environ.get("SAMPLE_LEDGER")
    if ledger:
        fd = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(fd, f"{word} {' '.join(map(str, what))}\n".encode())
        finally:
            os.close(fd)


@app.task
def note(*args: Any, **kwargs: Any) -> list[Any]:
    """Return the arguments, so that the result shows who got what."""
    return [*args, *([kwargs] if kwargs else [])]


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def fail(*args: Any, text: str = "no") -> None:
    raise ValueError(text)


@app.task(bind=True, max_retries=2)
def flaky(self: Task[..., Any], value: Any, needed: int) -> Any:
    if self.request.retries < needed:
        raise self.retry(countdown=0.01)
    return value


@app.task(bind=True)
def stamps(self: Task[..., Any], *args: Any) -> dict[str, list[Any]]:
    return self.request.stamps


@app.task(bind=True)
def lineage(self: Task[..., Any], *args: Any) -> list[str | None]:
    return [self.request.root_id, self.request.parent_id, self.request.id]


@app.task(bind=True)
def swap(self: Task[..., Any], value: Any, how: str) -> Any:
    """Be replaced by another signature."""
    whole: Any = {
        "task": note.s(value, "swapped"),
        "chain": note.s(value) | note.s("swapped"),
        "group": group(note.s(value), note.s("swapped")),
        "ends in a group": note.s(value) | group(note.s(1), note.s(2)),
        "again": swap.s(value, "task"),
        "fail": fail.s(text="swapped"),
        "stamps": stamps.s() | stamps.s(),
    }[how]
    return self.replace(whole)


@app.task(bind=True)
def grow(self: Task[..., Any], more: int) -> int:
    """Add a task to the chord that this one is a member of, as often as asked for."""
    if more:
        self.add_to_chord(grow.s(more - 1))
    return more


@app.task(bind=True)
def later(self: Task[..., Any], how: str) -> str:
    """Add to the chord that this task is a member of what is sent after that, by this task or another one."""
    if how == "group":
        group(self.add_to_chord(note.s(name), lazy=True) for name in "ab").delay()
        return how
    whole: Any = {"task": note.s("late"), "chain": note.s(1) | note.s("late")}
    whole["others"] = note.s(1) | group(note.s(2), note.s(3))
    sig: Any = self.add_to_chord(whole.get(how, note.s("late")), lazy=True)
    if how == "by another":
        run.delay(sig.plain())
    else:
        sig.delay()
        sig.delay()  # the first one counts
    return how


@app.task(bind=True)
def piped(self: Task[..., Any]) -> None:
    """Put a signature that was added to a chord into another workflow."""
    sig: Any = self.add_to_chord(note.s("late"), lazy=True)
    try:
        (note.s(1) | sig).delay()
    finally:
        sig.delay()


@app.task(bind=True)
def swaps_late(self: Task[..., Any]) -> None:
    """Be replaced by a signature that was added to a chord."""
    sig: Any = self.add_to_chord(note.s("late"), lazy=True)
    self.replace(sig)


@app.task
def told(task_id: str) -> None:
    """An errback that gets the id."""
    hear("told", task_id)


@app.task
def told_more(request: Any, error: BaseException, trace: str) -> None:
    """An errback that gets the failure itself."""
    hear("told-more", request.id, repr(error))


@app.task
def called(value: Any, mark: str) -> None:
    """A callback."""
    hear("called", mark, value)


@app.task
def wait_for(file: str) -> None:
    """Wait until a file is there."""
    hear("waits", file)
    until = time.monotonic() + 60
    while time.monotonic() < until and not os.path.exists(file):
        time.sleep(0.02)


@app.task
def run(sig: dict[str, Any]) -> str:
    """Send a signature that came as an argument."""
    return str(signature(sig).delay().id)


@app.task
def ignored(*args: Any) -> None:
    raise Ignore("not today")
