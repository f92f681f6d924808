"""What a worker is started with."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from typing import Any

#: Seconds that a worker which was asked to end waits for its running tasks, unless told otherwise.
DRAIN_TIMEOUT = 300.0


@dataclass(frozen=True)
class WorkerOptions:
    """The command line of ``umbel worker``, and what the environment adds.

    Args:
        app: ``module[:attribute]`` of the app; imported by the zygote, never by the supervisor.
        queues: names and weights; None for what the app is configured with.
        queue_order: in which order they are served, see `umbel.worker.turns.Order`.
        pool: the executor; None for the app's setting.
        concurrency: tasks at once; None for the app's setting, else what suits the executor.
        children: processes of the thread and asyncio executors; None for the app's setting, else 1.
        prefetch: messages that a child may hold beyond those that it runs; None for as many as hide the round trip.
        max_tasks_per_child: after which a child is replaced; None for the app's setting.
        max_memory_per_child: KiB of resident memory above which a child is replaced; None for the app's setting.
        autoreload: replace the children when a source file changes.
        hostname: shown as the worker's name.
        loglevel: of the standard logging module.
        health_port: of ``/livez`` and ``/readyz``; None for no server, 0 for any free port.
        strict_queues: refuse to start for a queue that is neither configured nor known to the broker.
        drain_timeout: seconds for running tasks after SIGTERM.
        drain_on_timeout: "requeue" or "fail" what still runs then.
        exclude_queues: names of queues not to consume.
        purge: drop what waits in the queues before the first task is fetched.
        config: a module with more settings.
        broker: URL that overrides the app's.
        workdir: directory to change to, and to import from.
        include: more modules to import.
        task_events: write what happens as events; None for the app's setting.
        kill_stopped_after: seconds after which a child that was stopped is killed; None to leave it.
    """

    app: str
    queues: tuple[tuple[str, int], ...] | None = None
    pool: str | None = None
    concurrency: int | None = None
    children: int | None = None
    prefetch: int | None = None
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = None
    autoreload: bool = False
    hostname: str | None = None
    loglevel: str = "INFO"
    health_port: int | None = None
    strict_queues: bool = False
    drain_timeout: float = field(default_factory=lambda: float(os.environ.get("UMBEL_DRAIN_TIMEOUT", DRAIN_TIMEOUT)))
    drain_on_timeout: str = field(default_factory=lambda: os.environ.get("UMBEL_DRAIN_ON_TIMEOUT", "requeue").lower())
    exclude_queues: tuple[str, ...] = ()
    purge: bool = False
    config: str | None = None
    broker: str | None = None
    workdir: str | None = None
    include: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    kill_stopped_after: float | None = None
    task_events: bool | None = None
    queue_order: str = "weighted"

    def name(self, app: str | None) -> str:
        """Return the worker's name, given that of its app."""
        return self.hostname or f"{app or 'umbel'}@{os.environ.get('UMBEL_POD_NAME') or socket.gethostname()}"

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> WorkerOptions:
        """Rebuild the options from what ``dataclasses.asdict`` and JSON made of them."""
        queues = given["queues"]
        pairs = {name: tuple(tuple(pair) for pair in given[name]) for name in ("settings",)}
        return cls(
            **{
                **given,
                **pairs,
                "queues": tuple((str(name), int(weight)) for name, weight in queues) if queues else None,
                "include": tuple(given["include"]),
                "exclude_queues": tuple(given["exclude_queues"]),
            }
        )
