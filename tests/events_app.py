"""The app whose tasks tell of themselves by events."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from umbel import Reject, Umbel

app = Umbel("events", result_expires=600)


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task(send_events=False)
def silent() -> None: ...


@app.task
def breaks() -> None:
    raise LookupError("not there")


@app.task(bind=True, max_retries=1)
def again(self: Any) -> str:
    if not self.request.retries:
        raise self.retry(exc=OSError("away"), countdown=0)
    return "done"


@app.task
def rejects() -> None:
    raise Reject("not mine")


@app.task(bind=True)
def tells(self: Any) -> None:
    self.send_event("task-progress", done=3)


@app.task
def holds(folder: str) -> None:
    Path(folder, "runs").touch()
    until = time.monotonic() + 60
    while time.monotonic() < until and not Path(folder, "go").exists():
        time.sleep(0.02)


@app.task(time_limit=0.5)
def too_long() -> None:
    time.sleep(60)
