"""The sample app with commands of its own."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from tests.sample_app import app

from umbel.control import State, control_command, inspect_command

__all__ = ["app"]

if os.environ.get("COMMANDED_THREAD"):
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()


@inspect_command(args=[("count", int)], signature="[COUNT=3]", alias="p", default_timeout=5.0)
def primes(state: State, count: int = 3) -> dict[str, Any]:
    """List the first primes."""
    found = [number for number in range(2, 1000) if all(number % other for other in range(2, number))]
    return {
        "primes": found[:count],
        "hostname": state.hostname,
        "queues": state.queues,
        "pids": state.pids,
        "pid": os.getpid(),
    }


@control_command(args=[("seconds", float)], default_timeout=1.0)
def nap(state: State, seconds: float) -> dict[str, str]:
    """Sleep for a while."""
    time.sleep(seconds)
    return {"ok": f"slept {seconds:g} s"}


@control_command
def rests(state: State, seconds: float) -> None:
    time.sleep(seconds)


@control_command(variadic="words")
async def shout(state: State, words: list[str]) -> dict[str, str]:
    """Say it louder."""
    return {"ok": " ".join(words).upper()}


@control_command
def breaks(state: State) -> None:
    raise ValueError("as asked")


@control_command
def dies(state: State) -> None:
    os._exit(3)


@inspect_command
def much(state: State) -> list[str]:
    return ["x" * 1000] * 1000
