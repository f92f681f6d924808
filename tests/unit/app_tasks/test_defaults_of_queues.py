"""What a queue gives to tasks holds where neither the call, nor the task, nor the app says anything."""

from __future__ import annotations

from typing import Any

import pytest

from umbel import Task, Umbel
from umbel.testing import InMemoryWorker


def give(app: Umbel, **defaults: Any) -> None:
    app.broker.configure("default", {"task_defaults": defaults}, 1)


def tries(app: Umbel, **options: Any) -> list[int]:
    """Declare a task that always asks to be retried; return the number of retries that each of its runs saw."""
    seen: list[int] = []

    @app.task(bind=True, name=f"again-{len(app.tasks)}", **options)
    def again(self: Task[..., None]) -> None:
        seen.append(self.request.retries)
        raise self.retry(countdown=0)

    again.delay()
    InMemoryWorker(app).run(wait=20)
    return seen


@pytest.mark.parametrize("most", [0, 1, 5])
def test_a_task_without_max_retries_takes_its_queues(app: Umbel, most: int) -> None:
    give(app, max_retries=most)
    assert len(tries(app)) == most + 1


def test_a_tasks_own_max_retries_counts_also_where_it_is_the_usual_number(app: Umbel) -> None:
    give(app, max_retries=0)
    assert len(tries(app, max_retries=3)) == 4


def test_a_class_that_sets_max_retries_counts_as_the_task(app: Umbel) -> None:
    class Patient(Task[..., Any]):
        max_retries = 2

    give(app, max_retries=0)
    assert len(tries(app, base=Patient)) == 3


def test_automatic_retries_are_bounded_too(app: Umbel) -> None:
    give(app, max_retries=1)
    seen: list[int] = []

    @app.task(autoretry_for=(ValueError,), retry_kwargs={"countdown": 0})
    def fails() -> None:
        seen.append(1)
        raise ValueError

    fails.delay()
    InMemoryWorker(app).run(wait=20)
    assert len(seen) == 2


def test_a_change_acts_on_the_next_run(app: Umbel) -> None:
    give(app, max_retries=0)
    assert len(tries(app)) == 1
    app.broker.configure("default", {"task_defaults": None}, 2)
    assert len(tries(app)) == 4


def test_a_task_knows_what_it_sets(app: Umbel) -> None:
    class Base(Task[..., Any]):
        time_limit = None

    @app.task(base=Base, max_retries=3)
    def one() -> None: ...

    assert one.sets("max_retries")
    assert one.sets("time_limit")
    assert not one.sets("soft_time_limit")
