"""How a worker of a WorkerPool runs several tasks at once."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from umbel_operator.api.base import INT32, Bytes, Model, Rule


class Concurrency(Model):
    """How a worker runs several tasks at once."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.model == 'Process' || !has(self.maxTasksPerProcess)",
            "maxTasksPerProcess is only for model Process",
            lambda c: c.model == "Process" or c.max_tasks_per_process is None,
        ),
    )

    model: Literal["Process", "Thread", "Async"] = Field(
        default="Process", description="What runs a task: a process, a thread, or an asyncio task."
    )
    slots: int = Field(
        default=1, ge=1, le=1000, json_schema_extra=INT32, description="Number of tasks that one pod runs at once."
    )
    prefetch: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        json_schema_extra=INT32,
        description=(
            "Tasks that each process may hold beyond those that it runs, at most; left out, as few as hide the round trip; "
            "0, none."
        ),
    )
    max_tasks_per_process: int | None = Field(
        default=None,
        ge=1,
        json_schema_extra=INT32,
        description="Number of tasks after which a process is replaced, for model Process.",
    )
    max_memory: Bytes | None = Field(
        default=None, description="Resident memory of a process above which it is replaced, e.g. 512Mi."
    )
