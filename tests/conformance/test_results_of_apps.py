"""Result backends as an app uses them: what tasks return and raise comes back, whatever the settings say of results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.conformance.adapters import Adapter
from tests.conformance.conftest import RESULT_BACKENDS
from tests.conformance.waiting import until

from umbel import Umbel
from umbel.broker.redis import parts
from umbel.errors import RemoteError
from umbel.memory.store import drop_store
from umbel.results.database import parts as rows
from umbel.testing import InMemoryWorker

MakeApp = Callable[..., Umbel]
pytestmark = pytest.mark.parametrize("adapter", RESULT_BACKENDS, indirect=True)


@pytest.fixture
def make_app(adapter: Adapter, prefix: str) -> Iterator[MakeApp]:
    """Make an app whose results are in the backend under test."""
    made: list[Umbel] = []

    def make(**settings: Any) -> Umbel:
        broker, results = adapter.urls()
        app = Umbel(
            "sample", broker=broker, backend=results, key_prefix=prefix, set_as_current=False, strict_typing=False
        )
        app.conf.update(settings)
        app.task(name="echo")(_echo)
        app.task(name="fail")(_fail)
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()
    drop_store("memory://conformance", prefix)


class Declined(Exception):
    """Keeps its arguments as attributes."""

    def __init__(self, card: str, code: int) -> None:
        super().__init__(f"card {card} was declined with {code}")
        self.card, self.code = card, code


class Locked(Exception):
    """Cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


def _echo(value: Any) -> Any:
    return value


def _fail(kind: str) -> None:
    if kind == "custom":
        raise Declined("ada", 51)
    if kind == "unpicklable":
        raise Locked
    if kind == "caused":
        raise ValueError("above") from KeyError("below")
    raise type("Nowhere", (Exception,), {"__module__": "gone.away"})("who knows")


def ran(app: Umbel, name: str, *args: Any, **options: Any) -> Any:
    """Run a task, and return its result as another process finds it."""
    result = app.send_task(name, args, **options)
    InMemoryWorker(app).run()
    return app.AsyncResult(result.id)


VALUES = [None, 0, "ä\n", [1, [2.5, None]], {"a": {"b": True}}, "x" * 100_000]


@pytest.mark.parametrize("compression", [None, "zlib", "bzip2"])
@pytest.mark.parametrize("serializer", ["json", "msgpack"])
def test_values_come_back(make_app: MakeApp, serializer: str, compression: str | None) -> None:
    accepted = ["json", serializer]
    app = make_app(result_serializer=serializer, result_compression=compression, accept_content=accepted)
    sent = [app.send_task("echo", (value,)) for value in VALUES]
    InMemoryWorker(app).run()
    assert [app.AsyncResult(result.id).get(timeout=20) for result in sent] == VALUES
    assert app.ResultSet([app.AsyncResult(result.id) for result in sent]).get(timeout=20) == VALUES
    stored = app.results.get(sent[-1].id)
    assert stored is not None
    assert stored.meta.get("compression") == compression
    assert (len(stored.value) < 10_000) is (compression is not None)


def test_large_values_come_back_compressed_or_not(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (parts, rows):
        monkeypatch.setattr(module, "PART", 1000)
    monkeypatch.setattr(rows, "SMALL", 1000)
    for compression in (None, "zlib"):
        value = [str(number * 7919 % 10007) for number in range(5000)]
        result = ran(make_app(result_compression=compression), "echo", value)
        assert result.get(timeout=20) == value
        result.forget()
        assert not result.exists()


def test_what_result_extended_adds(make_app: MakeApp) -> None:
    app = make_app(result_extended=True)
    result = ran(app, "echo", 5)
    assert (result.name, result.args, result.kwargs, result.retries) == ("echo", [5], {}, 0)
    assert (result.worker, result.queue) == ("in-memory", "default")
    assert result.date_done is not None
    failed = ran(app, "fail", "custom")
    assert (failed.name, failed.args, failed.worker) == ("fail", ["custom"], "in-memory")


@pytest.mark.parametrize("expires", [0, None])
def test_for_ever_is_ten_years(make_app: MakeApp, expires: float | None) -> None:
    app = make_app(result_expires=expires)
    result = ran(app, "echo", 1)
    app.results.clean_up()
    assert app.AsyncResult(result.id).get(timeout=20) == 1
    result.forget()


def test_results_end_with_their_time(make_app: MakeApp) -> None:
    app = make_app(result_expires=0.3)
    result = ran(app, "echo", 1)
    until(lambda: app.AsyncResult(result.id).state == "PENDING")
    app.results.clean_up()
    assert not app.AsyncResult(result.id).exists()


def test_exceptions_come_back(make_app: MakeApp) -> None:
    app = make_app()
    with pytest.raises(Declined, match="card ada was declined with 51") as declined:
        ran(app, "fail", "custom").get(timeout=20)
    assert (declined.value.card, declined.value.code) == ("ada", 51)
    with pytest.raises(Locked, match="locked"):
        ran(app, "fail", "unpicklable").get(timeout=20)
    with pytest.raises(RemoteError, match="who knows") as unknown:
        ran(app, "fail", "unimportable").get(timeout=20)
    assert type(unknown.value).__name__ == "Nowhere"
    with pytest.raises(ValueError, match="above") as caused:
        ran(app, "fail", "caused").get(timeout=20)
    assert isinstance(caused.value.__cause__, KeyError)
    failed = ran(app, "fail", "caused")
    assert failed.failed()
    assert 'raise ValueError("above")' in failed.traceback


def test_nothing_is_stored_of_what_is_ignored_but_errors_that_are_asked_for(make_app: MakeApp) -> None:
    app = make_app(task_store_errors_even_if_ignored=True)
    assert not ran(app, "echo", 1, ignore_result=True).exists()
    assert ran(app, "fail", "custom", ignore_result=True).failed()
    app.conf.task_store_errors_even_if_ignored = False
    assert not ran(app, "fail", "custom", ignore_result=True).exists()


def test_progress_children_and_groups_are_kept(make_app: MakeApp) -> None:
    app = make_app()

    @app.task(name="parent", bind=True)
    def parent(self: Any) -> None:
        self.update_state(state="PROGRESS", meta={"done": 1})
        stored = app.AsyncResult(self.request.id)
        assert (stored.state, stored.info) == ("PROGRESS", {"done": 1})
        app.send_task("echo", (7,))

    result = ran(app, "parent")
    assert [child.get(timeout=20) for child in result.children] == [7]
    assert [value for _, value in result.collect()] == [None, 7]
    group = app.GroupResult("g", [result, *result.children])
    group.save()
    restored = app.GroupResult.restore("g")
    assert restored is not None
    assert restored == group
    assert restored.get(timeout=20) == [None, 7]
    restored.delete()
    assert app.GroupResult.restore("g") is None
