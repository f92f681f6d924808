"""The app whose workers run the workflows of tests. What a task did is written outside Redis: one line a run."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from umbel import Umbel

app = Umbel("workflows", result_expires=600)


def note(line: str) -> None:
    """Append a line to the ledger in one write, so that lines of several processes never mix."""
    ledger = os.environ.get("SAMPLE_LEDGER")
    if ledger:
        fd = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(fd, f"{line}\n".encode())
        finally:
            os.close(fd)


@app.task
def add(x: int, y: int = 0) -> int:
    note(f"add {x} {y}")
    return x + y


@app.task
def total(numbers: list[int], more: int = 0, name: str = "") -> int:
    note(f"total {name or len(numbers)}")
    return sum(numbers) + more


@app.task
def listed(numbers: list[Any]) -> list[Any]:
    return numbers


@app.task
def constant(value: Any) -> Any:
    note(f"constant {value}")
    return value


@app.task
def fail(*args: Any, text: str = "broken") -> None:
    raise ValueError(text)


@app.task(bind=True, max_retries=3)
def flaky(self: Any, value: int, times: int) -> int:
    """Fail some times, be retried, then return the value."""
    if self.request.retries < times:
        raise self.retry(countdown=0.05)
    return value


@app.task
def wait_for(value: int, folder: str) -> int:
    """Say that it runs by a file, and wait until a file allows it to end."""
    Path(folder, f"running-{value}").write_text(str(os.getpid()))
    until = time.monotonic() + 60
    while time.monotonic() < until and not Path(folder, "go").exists():
        time.sleep(0.02)
    note(f"waited {value}")
    return value


@app.task
def told(task_id: str) -> None:
    """An errback in the old style."""
    note(f"told {task_id}")


@app.task
def told_more(request: Any, error: BaseException, trace: str | None) -> None:
    """An errback in the new style."""
    note(f"told-more {request.id} {request.task.name if request.task else None} {error!r} {trace is not None}")


@app.task(bind=True)
def replaced(self: Any, value: int, by: dict[str, Any]) -> Any:
    """Have another workflow do the work."""
    note(f"replaced {value}")
    return self.replace(self.app.signature(by))


@app.task(bind=True)
def adds(self: Any, value: int, more: list[Any]) -> int:
    """Add members to the header that this task belongs to."""
    for signature in more:
        self.add_to_chord(self.app.signature(signature))
    return value


@app.task(time_limit=0.5)
def overlong() -> None:
    time.sleep(60)


@app.task
def kills(*args: Any) -> None:
    """End the process that runs it."""
    os.kill(os.getpid(), 9)


@app.task(bind=True)
def logged_add(self: Any, x: int, y: int = 0) -> int:
    """Add, and note which message it was."""
    note(f"message {self.request.id} {self.request.message.enqueued_ms}")
    return x + y


@app.task(bind=True)
def logged_total(self: Any, numbers: list[int], more: int = 0) -> int:
    """Add up, and note which message it was."""
    note(f"message {self.request.id} {self.request.message.enqueued_ms}")
    return sum(numbers) + more
