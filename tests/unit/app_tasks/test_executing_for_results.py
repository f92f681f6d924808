"""What of a result is stored, and what is not."""

from __future__ import annotations

import pytest
from tests.unit.app_tasks.executing import error_of, execute
from tests.unit.app_tasks.sent import take, take_one

from umbel import Umbel, states


@pytest.mark.parametrize("where", ["task", "call", "setting"])
def test_ignored_results_are_not_stored(app: Umbel, where: str) -> None:
    @app.task(name="quiet", ignore_result=True if where == "task" else None)
    def quiet(fail: bool) -> int:
        return 1 // (not fail)

    app.conf.task_ignore_result = where == "setting"
    for fail in (False, True):
        quiet.apply_async((fail,), ignore_result=True if where == "call" else None)
    good, bad = (execute(app, message) for message in take(app))
    assert (good.state, good.record, bad.state, bad.record) == (states.SUCCESS, None, states.FAILURE, None)


def test_failures_of_ignored_results_are_stored_on_request(app: Umbel) -> None:
    @app.task(name="quiet", ignore_result=True, store_errors_even_if_ignored=True)
    def quiet() -> None:
        raise ValueError("x")

    quiet.delay()
    assert repr(error_of(execute(app, take_one(app)))) == "ValueError('x')"


def test_an_ignored_result_can_be_wanted_by_a_call(app: Umbel) -> None:
    @app.task(name="quiet", ignore_result=True)
    def quiet() -> int:
        return 1

    quiet.apply_async(ignore_result=False)
    assert execute(app, take_one(app)).record is not None


def test_extended_results(app: Umbel) -> None:
    @app.task(name="add")
    def add(x: int, y: int = 0) -> int:
        return 1 // x

    app.conf.result_extended = True
    add.delay(1, y=2)
    add.delay(0)
    good, bad = (execute(app, message) for message in take(app))
    assert good.record is not None
    assert bad.record is not None
    expected = {"name": "add", "worker": "w1", "retries": 0, "queue": "default", "args": [1], "kwargs": {"y": 2}}
    assert good.record.meta == expected
    assert bad.record.meta["args"] == [0]


def test_a_setting_that_changes_counts_for_the_next_task_of_that_app_only(app: Umbel) -> None:
    other = Umbel("other", broker="memory://executing-other", set_as_current=False)
    for each in (app, other):
        each.task(name="one")(lambda: 1)

    def is_extended(of: Umbel) -> bool:
        of.tasks["one"].delay()
        ended = execute(of, take_one(of))
        assert ended.record is not None
        return "args" in ended.record.meta

    assert [is_extended(each) for each in (app, other, app)] == [False, False, False]
    app.conf.result_extended = True
    assert [is_extended(each) for each in (app, other, app)] == [True, False, True]
    app.conf.result_extended = False
    assert not is_extended(app)
