"""Events from who sends to who reads: coalesced, kept while the broker is away, bounded, and read from any moment."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
from tests.workers import until

from umbel import Umbel
from umbel.errors import ImproperlyConfigured, OperationalError
from umbel.events import pen as pens
from umbel.events.base import EventLog
from umbel.events.camera import Camera
from umbel.events.memory import MemoryEvents
from umbel.events.pen import Pen
from umbel.events.shown import shown
from umbel.events.state import State
from umbel.testing import InMemoryWorker


@pytest.fixture
def app() -> Umbel:
    return Umbel("told", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False)


class Log(MemoryEvents):
    """Counts the writes, and refuses while it is away."""

    def __init__(self) -> None:
        super().__init__(f"memory://{uuid.uuid4().hex}", prefix="p")
        self.writes: list[int] = []
        self.away = False

    def write(self, events: Sequence[bytes]) -> None:
        if self.away:
            raise OperationalError("away")
        self.writes.append(len(events))
        super().write(events)


def test_own_events(app: Umbel) -> None:
    with app.events.Dispatcher(hostname="deployer") as dispatcher:
        dispatcher.send("deploy-begun", version="3", odd={1, 2})
        dispatcher.disable()
        dispatcher.send("deploy-lost")
        dispatcher.enable()
        dispatcher.publish("deploy-ended", {"timestamp": 1.5})
    found: list[dict[str, Any]] = []
    receiver = app.events.Receiver(handlers={"deploy-begun": found.append, "*": found.append}, since=0)
    receiver.capture(limit=2)
    assert [event["type"] for event in found] == ["deploy-begun", "deploy-ended"]
    assert (found[0]["version"], found[0]["hostname"], found[0]["odd"]) == ("3", "deployer", "{1, 2}")
    assert found[1]["timestamp"] == 1.5


def test_without_a_moment_only_what_is_to_come_is_read_and_the_heartbeats_before(app: Umbel) -> None:
    with app.events.Dispatcher() as dispatcher:
        dispatcher.send("task-received", uuid="old")
        dispatcher.send("worker-heartbeat", freq=10)
    found: list[str] = []
    receiver = app.events.Receiver(handlers={"*": lambda event: found.append(event["type"])})
    with pytest.raises(TimeoutError):
        receiver.capture(timeout=0.05)
    assert found == ["worker-heartbeat"]
    with app.events.Dispatcher() as dispatcher:
        dispatcher.send("task-received", uuid="new")
    receiver.capture(limit=1)
    assert found == ["worker-heartbeat", "task-received"]


def test_without_wakeup_nothing_of_before_is_read(app: Umbel) -> None:
    with app.events.Dispatcher() as dispatcher:
        dispatcher.send("worker-heartbeat", freq=10)
    with pytest.raises(TimeoutError, match="no event"):
        app.events.Receiver().capture(timeout=0.05, wakeup=False)


def test_a_handler_can_end_it(app: Umbel) -> None:
    with app.events.Dispatcher() as dispatcher:
        for number in range(5):
            dispatcher.send("a-b", number=number)
    found: list[int] = []

    def handler(event: dict[str, Any]) -> None:
        found.append(event["number"])
        receiver.should_stop = event["number"] == 2

    receiver = app.events.Receiver(handlers={"*": handler}, since=3600)
    receiver.capture()
    assert found == [0, 1, 2]


def test_what_cannot_be_read_is_passed_over(app: Umbel, caplog: pytest.LogCaptureFixture) -> None:
    app.events.open().write([b"{", b"[]", b'{"type":"a-b"}'])
    assert [event["type"] for event in app.events.Receiver(since=0).itercapture(limit=1)] == ["a-b"]
    assert "event.unreadable" in caplog.text


def test_many_events_are_few_writes() -> None:
    log = Log()
    pen = Pen(lambda: log, "w1")
    began = time.monotonic()
    for number in range(2500):
        pen.put("task-progress", uuid=str(number))
    assert pen.flush(20)
    pen.close()
    assert sum(log.writes) == 2500
    assert len(log.writes) <= 6 + (time.monotonic() - began) / pens.PAUSE
    assert pen.lost == 0


def test_what_the_broker_does_not_take_is_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pens, "MOST", 10)
    monkeypatch.setattr(pens, "PAUSE_AWAY", 0.01)
    log = Log()
    log.away = True
    pen = Pen(lambda: log, "w1")
    for number in range(10):
        pen.put("task-progress", number=number)
        time.sleep(0.01)
    until(lambda: not pen._writing and len(pen._pending) == 10, "all of them wait")
    pen.put("task-progress", number=10)
    until(lambda: pen.lost, "one of them is lost")  # at once, or when those that are tried come back
    log.away = False
    assert pen.flush(20)
    pen.close()
    assert 10 <= sum(log.writes) + pen.lost == 11


def test_what_comes_back_from_a_write_that_failed_is_not_taken_for_written() -> None:
    looks = threading.Event()

    class Away(Log):
        def write(self, events: Sequence[bytes]) -> None:
            looks.wait(20)
            raise OperationalError("away")

    class Pending(deque[Any]):
        def __bool__(self) -> bool:
            there = len(self) > 0
            if threading.current_thread() is threading.main_thread() and not there:
                looks.set()
                time.sleep(0.2)  # the write fails, and what it took comes back
            return there

    log = Away()
    pen = Pen(lambda: log, "w1")
    pen._pending = Pending()
    pen.put("task-progress")
    until(lambda: pen._writing and not len(pen._pending), "it is being written")
    assert not pen.flush(0.05)
    assert len(pen._pending) == 1
    pen.close()


def test_what_is_left_at_the_end_is_written() -> None:
    log = Log()
    pen = Pen(lambda: log, "w1")
    pen.put("task-progress")
    pen.close(20)
    assert log.writes == [1]


def test_a_worker_in_a_test_tells_too(app: Umbel) -> None:
    app.conf.update(worker_send_task_events=True, task_send_sent_event=True)

    @app.task(bind=True)
    def add(self: Any, x: int, y: int) -> int:
        self.send_event("task-progress", done=1)
        return x + y

    result = add.delay(1, 2)
    InMemoryWorker(app).run()
    app.events.pen.flush()
    state = State()
    for event in app.events.Receiver(since=0).itercapture(limit=5):
        state.event(event)
    assert state.tasks[result.id].state == "SUCCESS"
    assert state.tasks[result.id].args == "(1, 2)"
    assert state.tasks[result.id].routing_key == "default"
    app.close()


def test_where_events_are_off_nothing_is_told(app: Umbel) -> None:
    @app.task(bind=True)
    def tells(self: Any) -> None:
        self.send_event("task-progress")

    tells.delay()
    InMemoryWorker(app).run()
    assert app.events.open().newest() == "0-0"
    assert app.events._pen is None


def test_pictures() -> None:
    class Album(Camera):
        clear_after = True
        pictures: list[int]
        cleaned = 0

        def on_shutter(self, state: State) -> None:
            self.pictures.append(len(state.tasks))

        def on_cleanup(self) -> None:
            self.cleaned += 1

    state = State()
    state.event({"type": "task-received", "uuid": "a", "hostname": "w1"})
    album = Album(state, freq=0.01, cleanup_freq=0.0)
    album.pictures = []
    with album:
        until(lambda: len(album.pictures) >= 3, "some pictures were taken")
    assert album.pictures[:2] == [1, 0]
    assert album.cleaned
    slow = Album(state, maxrate="1/h")
    slow.pictures = []
    slow.shutter()
    slow.shutter()
    assert len(slow.pictures) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ("x", "'x'"),
        ([1, "a"], "[1, 'a']"),
        ({"a": 1}, "{'a': 1}"),
    ],
)
def test_small_values_are_shown_as_they_are(value: Any, text: str) -> None:
    assert shown(value) == text


def test_large_and_broken_values_are_shown_short() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    for value in ("x" * 10_000_000, list(range(10_000_000)), {"a": ["y" * 5000] * 1000}):
        assert len(shown(value)) <= 1024
    assert len(shown(ValueError("z" * 5000))) <= 1024
    assert "repr raised" in shown(Broken()) or "Broken instance" in shown(Broken())


def test_threads_may_put_at_the_same_time() -> None:
    log = Log()
    pen = Pen(lambda: log, "w1")
    threads = [threading.Thread(target=lambda: [pen.put("a-b") for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pen.flush(20)
    assert len([thread for thread in threading.enumerate() if thread.name == "umbel-events"]) >= 1
    pen.close()
    assert sum(log.writes) == 2000


def test_settings_are_checked() -> None:
    with pytest.raises(ImproperlyConfigured):
        Umbel("x", broker="memory://", set_as_current=False, event_log_length=0)
    kept: EventLog = Umbel("x", broker="memory://kept", set_as_current=False, event_log_length=2).events.open()
    kept.write([b"{}"] * 5)
    assert len(kept.read("0-0", 10)) == 2
