"""The two task bodies by name: all the registry there is."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import body

TASKS: dict[str, Callable[[int], int]] = {"noop": body.noop, "work": body.work}
