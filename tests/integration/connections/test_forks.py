"""A process that is forked while another thread of its parent opens connections, or waits for results."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.making import record
from tests.databases import is_there
from tests.redis_server import RedisServer
from tests.workers import until

import umbel.app.connections as opening
from umbel import Umbel, forking, transport
from umbel.results.database import DatabaseResults, schema
from umbel.results.redis import RedisResults

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")


def in_a_fork(work: Callable[[], object]) -> None:
    """Fork, and fail unless ``work`` ends in time in the new process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are threads: that is what is tested
        child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Held:
    """Makes a function wait in the middle of its first call, in another thread."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._first = True
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, *args: Any, **more: Any) -> Any:
        if self._first:
            self._first = False
            self.begun.set()
            assert self.go_on.wait(30.0)
        return self._function(*args, **more)


def test_a_fork_in_the_middle_of_a_wait_does_not_hang(redis_server: RedisServer, prefix: str) -> None:
    results = RedisResults(redis_server.url, prefix=prefix)
    results.store("a", record(), 60.0)
    assert results.wait("a").result(20) == record()

    def wait() -> None:
        assert results.wait("a").result(20) == record()

    with results._lock:  # as another thread may hold it in this moment
        in_a_fork(wait)
    wait()
    results.close()


@pytest.mark.parametrize("in_time", [True, False], ids=["waited for", "too slow to be waited for"])
def test_a_fork_while_another_thread_opens_the_results(
    in_time: bool, redis_server: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Umbel("sample", broker=redis_server.url, key_prefix=prefix, set_as_current=False)
    slow = Held(transport.make_results)
    monkeypatch.setattr(opening, "make_results", slow)
    monkeypatch.setattr(forking, "PATIENCE", 30.0 if in_time else 0.05)
    thread = threading.Thread(target=lambda: app.results)
    thread.start()
    assert slow.begun.wait(30.0)
    if in_time:
        threading.Timer(0.2, slow.go_on.set).start()
    in_a_fork(lambda: app.results.get("unknown"))
    slow.go_on.set()
    thread.join(30.0)
    assert app.results.get("unknown") is None
    app.close()


def test_who_forks_while_it_holds_the_lock_holds_it_in_the_new_process_too() -> None:
    lock = forking.ForkLock()
    taken = threading.Event()

    def take() -> None:
        with lock:
            taken.set()

    def leave() -> None:
        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        assert not taken.wait(0.05)
        lock.__exit__(None, None, None)
        assert taken.wait(30.0)

    lock.__enter__()
    in_a_fork(leave)
    leave()


def _url_of(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if kind == "sqlite":
        return f"db+sqlite:///{tmp_path}/results.db"
    return str(request.getfixturevalue(kind).url)


KINDS = ["sqlite", *(kind for kind in ("postgresql", "mariadb") if is_there(kind))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_fork_while_threads_wait_on_a_database(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, prefix: str
) -> None:
    results = DatabaseResults(_url_of(kind, request, tmp_path), prefix=prefix)
    results.store("there", record(), 60.0)
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(results.wait_for("late", 60.0))) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(results._waiting._futures.get("late", ())) == 3, "all of them wait")

    def wait() -> None:
        assert results.wait_for("there", 20.0) == record()
        results.store("of the child", record(), 60.0)

    for _ in range(5):
        in_a_fork(wait)
    assert results.get("of the child") == record()  # the parent's connections are as they were
    writer = DatabaseResults(results.url, prefix=prefix)
    writer.store("late", record(), 60.0)
    writer.close()
    for thread in threads:
        thread.join(60.0)
    assert got == [record()] * 3
    results.close()


def test_a_fork_waits_for_the_thread_that_is_in_sqlite(
    tmp_path: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forking, "PATIENCE", 30.0)
    results = DatabaseResults(f"db+sqlite:///{tmp_path}/results.db", prefix=prefix)
    results.get("a")
    inside, leave, order = threading.Event(), threading.Event(), []

    def talk() -> None:
        with results._database.talk():
            inside.set()
            assert leave.wait(30.0)
            order.append("left")

    thread = threading.Thread(target=talk)
    thread.start()
    assert inside.wait(30.0)
    threading.Timer(0.3, leave.set).start()
    in_a_fork(lambda: results.get("a"))
    order.append("forked")
    thread.join(10.0)
    assert order == ["left", "forked"]
    results.close()


def test_a_fork_while_another_thread_opens_the_database(
    tmp_path: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = DatabaseResults(f"db+sqlite:///{tmp_path}/results.db", prefix=prefix)
    slow = Held(schema.migrate)
    monkeypatch.setattr(schema, "migrate", slow)
    monkeypatch.setattr(forking, "PATIENCE", 0.05)
    thread = threading.Thread(target=lambda: results.get("a"))
    thread.start()
    assert slow.begun.wait(30.0)
    in_a_fork(lambda: results.store("a", record(), 60.0))
    slow.go_on.set()
    thread.join(30.0)
    assert results.get("a") == record()
    results.close()
