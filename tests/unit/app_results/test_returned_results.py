"""A task that returns the result of another one: what its caller gets, and what `self.request` says of a group."""

from __future__ import annotations

import uuid
from typing import Any

from umbel import AsyncResult, GroupResult, Umbel, result_from_tuple


def _app() -> Umbel:
    app = Umbel("returning", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False)
    app.conf.task_always_eager = True
    return app


def test_a_result_is_stored_in_its_short_form() -> None:
    app = _app()

    @app.task
    def begin() -> Any:
        return AsyncResult("a-task", app=app)

    answer = begin.delay().get()
    assert answer == [["a-task", None], None]
    again = result_from_tuple(answer, app)
    assert again.id == "a-task"


def test_so_is_a_set_of_results() -> None:
    app = _app()

    @app.task
    def begin() -> Any:
        return GroupResult("a-group", [AsyncResult("1", app=app), AsyncResult("2", app=app)], app=app)

    again = result_from_tuple(begin.delay().get(), app)
    assert isinstance(again, GroupResult)
    assert [member.id for member in again.results] == ["1", "2"]


def test_what_follows_in_a_workflow_is_not_in_the_request() -> None:
    app = _app()

    @app.task(bind=True)
    def look(self: Any) -> Any:
        request = self.request
        return [request.chain, request.chord, request.callbacks, request.errbacks, request.group, request.group_index]

    assert look.delay().get() == [None] * 6
    assert look.apply_async(group_id="g", group_index=3).get() == [None, None, None, None, "g", 3]
