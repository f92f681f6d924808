"""Arguments and results as events show them: how long, what the caller gave in their place, and never an error."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from umbel import Umbel
from umbel.events.shown import shown
from umbel.testing import InMemoryWorker


@pytest.fixture
def app() -> Iterator[Umbel]:
    url = f"memory://{uuid.uuid4().hex}"
    with Umbel("shown", broker=url, set_as_current=False) as made:
        made.conf.update(worker_send_task_events=True, task_send_sent_event=True)
        yield made


def heard(app: Umbel) -> dict[str, dict[str, Any]]:
    """Return the last event of each type."""
    app.events.pen.flush()
    found: dict[str, dict[str, Any]] = {}
    receiver = app.events.Receiver(handlers={"*": lambda event: found.update({event["type"]: event})}, since=0)
    with pytest.raises(TimeoutError):
        receiver.capture(timeout=0.05)
    return found


def run(app: Umbel, task: Any, *args: Any, **options: Any) -> dict[str, dict[str, Any]]:
    result = task.apply_async(args, **options)
    InMemoryWorker(app).run()
    result.get(timeout=5, propagate=False)
    return heard(app)


@pytest.mark.parametrize(("longest", "expected"), [(None, 1024), (20, 20), (4000, 4000), (9000, 5002)])
def test_resultrepr_maxsize_bounds_arguments_and_results(app: Umbel, longest: int | None, expected: int) -> None:
    def returned(*, text: str = "") -> str:
        return text

    if longest is None:
        same = app.task(name="same")(returned)
    else:
        same = app.task(name="same", resultrepr_maxsize=longest)(returned)
    result = same.delay(text="x" * 5000)
    InMemoryWorker(app).run()
    assert len(result.get(timeout=20)) == 5000
    events = heard(app)
    assert len(events["task-succeeded"]["result"]) == expected
    for type in ("task-sent", "task-received"):
        assert len(events[type]["kwargs"]) == min(expected + 10, longest or 1024)
        assert events[type]["args"] == "()"


def test_what_the_caller_gives_in_place_of_arguments_is_shown(app: Umbel) -> None:
    @app.task(name="login")
    def login(name: str, password: str = "") -> None: ...

    events = run(app, login, "ada", kwargs={"password": "secret"}, argsrepr="(<name>)", kwargsrepr="{<password>}")
    for type in ("task-sent", "task-received"):
        assert (events[type]["args"], events[type]["kwargs"]) == ("(<name>)", "{<password>}")
    assert "secret" not in str(events)


def test_arguments_that_cannot_be_shown_do_not_fail_their_task(app: Umbel) -> None:
    from umbel.serialization import register_type

    class Grumpy(dict[str, int]):
        def __repr__(self) -> str:
            raise RuntimeError("not now")

    register_type(Grumpy, "grumpy", dict, Grumpy)

    @app.task(name="fine")
    def fine(given: Any) -> Any:
        return given

    events = run(app, fine, Grumpy(a=1))
    assert "task-failed" not in events
    assert "Grumpy" in events["task-received"]["args"]
    assert "Grumpy" in events["task-succeeded"]["result"]


@pytest.mark.parametrize("most", [3, 10, 1024, 3000])
def test_nothing_is_longer_than_asked_for(most: int) -> None:
    for value in ("x" * 10_000, ["y" * 400] * 100, {"a": dict.fromkeys(range(500), "z" * 50)}, list(range(5000))):
        text = shown(value, most)
        assert len(text) <= most
        assert text.endswith("...")
