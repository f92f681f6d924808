"""Events in processes that are forked: each writes its own, by a connection of its own, and none twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.connections.test_forks import in_a_fork
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel

APP = """
import os
from umbel import Umbel

app = Umbel("forking")
teller = app.events.Dispatcher(hostname="teller")
teller.send("import-ended", own=os.getpid())
teller.flush(10)
teller.send("import-pending", own=os.getpid())  # by nobody but who sent it

@app.task(name="tell")
def tell(number):
    teller.send("task-told", uuid=str(number), own=os.getpid())
    child = os.fork()
    if child == 0:
        teller.send("task-forked", uuid=str(number), own=os.getpid())
        os._exit(0 if teller.flush(10) else 1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise RuntimeError("the fork could not write")
    teller.flush(10)
"""


def heard(app: Umbel) -> list[dict[str, Any]]:
    """Return the events from the beginning, up to where they stop coming for a moment: it may take several looks to have all."""
    found: list[dict[str, Any]] = []
    with app.events.Receiver(handlers={"*": found.append}, since=0) as receiver, pytest.raises(TimeoutError):
        receiver.capture(timeout=0.1)
    return found


def test_a_fork_writes_by_a_connection_of_its_own(
    redis_server: RedisServer, prefix: str, producer: Callable[..., Umbel]
) -> None:
    app = producer(redis_server)
    with app.events.Dispatcher() as dispatcher:
        dispatcher.send("before-fork", own=os.getpid())
        assert dispatcher.flush(10)
        for _ in range(50):
            dispatcher.send("pending-event", own=os.getpid())  # the parent's to write, and nobody else's

        def work() -> None:
            dispatcher.send("forked-event", own=os.getpid())
            assert dispatcher.flush(10)

        in_a_fork(work)
        dispatcher.send("after-fork", own=os.getpid())
        assert dispatcher.flush(10)
    events = until(
        lambda: (found := heard(app)) and any(e["type"] == "after-fork" for e in found) and found, "the last is told of"
    )
    count = {type: len([e for e in events if e["type"] == type]) for type in {e["type"] for e in events}}
    assert count == {"before-fork": 1, "pending-event": 50, "forked-event": 1, "after-fork": 1}
    assert all(event["pid"] == event["own"] for event in events)
    assert len({event["pid"] for event in events}) == 2


def test_children_of_a_worker_write_their_own(
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    tmp_path: Path,
) -> None:
    """The app tells of its import, wherever that is; tasks fork."""
    (tmp_path / "forking_events.py").write_text(APP)
    environment = {"PYTHONPATH": str(tmp_path)}
    worker = start_worker(redis_server, prefix, "-E", app="forking_events:app", environment=environment).wait_ready()
    app = producer(redis_server)
    for result in [app.send_task("tell", (number,)) for number in range(6)]:
        result.get(timeout=60)
    events = until(
        lambda: (found := heard(app)) and [e["type"] for e in found].count("task-succeeded") == 6 and found,
        "all is told of",
    )
    own = [event for event in events if "own" in event]
    assert all(event["pid"] == event["own"] for event in own)
    for type in ("task-told", "task-forked"):
        assert sorted(e["uuid"] for e in own if e["type"] == type) == [str(number) for number in range(6)]
    told = [e["pid"] for e in own if e["type"] == "task-told"]
    forked = [e["pid"] for e in own if e["type"] == "task-forked"]
    assert len(set(forked)) == 6
    assert not set(forked) & set(told)
    imports = [e["pid"] for e in own if e["type"] == "import-pending"]
    assert len(imports) == len(set(imports))
    assert not set(imports) & set(forked)
    assert worker.stop() == 0
