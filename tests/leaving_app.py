"""An app whose code has its worker end: in a task, in a receiver of a signal, in a command."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from tests.sample_app import _note as note

from umbel import Task, Umbel, signals
from umbel.control import State, control_command
from umbel.exceptions import WorkerShutdown, WorkerTerminate

app = Umbel("leaving", result_expires=600)
WHERE = os.environ.get("LEAVE_IN", "")


@app.task(name="shutdown")
def shutdown(code: int | None = None) -> None:
    raise WorkerShutdown(code)


@app.task(name="shutdown_async")
async def shutdown_async(code: int) -> None:
    raise WorkerShutdown(code)


@app.task(name="terminate")
def terminate(code: int) -> None:
    note("terminating 1")
    raise WorkerTerminate(code)


def waits(folder: str) -> bool:
    return not Path(folder, "go").exists()


@app.task(name="wait", soft_time_limit=60)
def wait(folder: str) -> str:
    note("waiting 1")
    while waits(folder):
        time.sleep(0.02)
    return "waited"


@app.task(name="wait_async", time_limit=60)
async def wait_async(folder: str) -> str:
    note("waiting 1")
    while waits(folder):  # noqa: ASYNC110 - another process says so
        await asyncio.sleep(0.02)
    return "waited"


class Last(Task[..., Any]):
    """Has its worker end when it has returned."""

    def after_return(self, *told: Any) -> None:
        if WHERE == "after_return":
            raise WorkerShutdown(7)


@app.task(name="last", base=Last)
def last() -> str:
    return "last"


def receive(**told: Any) -> None:
    raise WorkerShutdown(7)


if WHERE in signals.__all__:
    getattr(signals, WHERE).connect(receive, weak=False)


@control_command()
def retire(state: State) -> None:
    """End this worker."""
    raise WorkerShutdown(7)
