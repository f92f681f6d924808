"""How the children of a worker run tasks: the names of the executors, Celery's names for them, and how many of what there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

#: One task at a time in each of several processes; threads of one process; asyncio tasks; the worker's only process.
NAMES: Final = ("process", "thread", "asyncio", "solo")
#: What Celery calls them.
ALIASES: Final = {"prefork": "process", "processes": "process", "threads": "thread", "async": "asyncio"}
_GREEN: Final = ("gevent", "eventlet")
#: Tasks at once in the asyncio executor, unless told otherwise.
ASYNCIO_TASKS: Final = 100


def executor(value: Any) -> str:
    """Return an executor's name for one of its names.

    Raises:
        ValueError: with what is expected.
    """
    name = str(value).lower()
    name = ALIASES.get(name, name)
    if name in NAMES:
        return name
    known = "one of " + ", ".join(repr(name) for name in (*NAMES, *ALIASES))
    if name in _GREEN:
        raise ValueError(
            f"{known}; there are no green threads here: 'asyncio' runs many `async def` tasks in one process, 'thread' runs "
            "many that block"
        )
    raise ValueError(known)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a worker consists of.

    Args:
        executor: of `NAMES`.
        children: processes that run tasks.
        lanes: tasks that each of them runs at once.
    """

    executor: str
    children: int
    lanes: int

    @property
    def slots(self) -> int:
        """How many tasks the worker runs at once."""
        return self.children * self.lanes


def shape(executor: str, concurrency: int | None, children: int | None, cpus: int) -> Shape:
    """Return what a worker consists of. Pure.

    Args:
        executor: of `NAMES`.
        concurrency: tasks at once in the whole worker; None for the executor's own default.
        children: processes for thread and asyncio; None for one.
        cpus: of this machine.
    """
    if executor == "solo":
        return Shape(executor, 1, 1)
    if executor == "process":
        return Shape(executor, concurrency or cpus, 1)
    tasks = concurrency or (ASYNCIO_TASKS if executor == "asyncio" else cpus)
    processes = min(children or 1, tasks)
    return Shape(executor, processes, -(-tasks // processes))
