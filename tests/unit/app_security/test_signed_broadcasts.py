"""Who copies a signed task to all workers has read its signature, and signs the copies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conformance.making import owner, take
from tests.signers import Signer

from umbel import AsyncResult, Broadcast, Umbel
from umbel import message as messages
from umbel.broker.base import Outgoing
from umbel.testing import InMemoryWorker


def test_the_copies_are_signed_by_who_makes_them(signing_app: Callable[..., Umbel], tmp_path: Path) -> None:
    app = signing_app(Signer(tmp_path / "keys", "one"))
    app.conf.update(task_queues=["default", Broadcast("all")])
    sent: AsyncResult[Any] = app.send_task("add", (2, 3), queue="all")
    InMemoryWorker(app, hostname="w").run()
    copies = sent.get(timeout=20)
    assert copies == {"w": f"{sent.id}.w"}
    assert app.AsyncResult(copies["w"]).get(timeout=20) == 5


def test_what_was_changed_on_the_way_is_not_copied(signing_app: Callable[..., Umbel], tmp_path: Path) -> None:
    app = signing_app(Signer(tmp_path / "keys", "one"))
    app.conf.update(task_queues=["default", Broadcast("all")])
    sent: AsyncResult[Any] = app.send_task("add", (2, 3), queue="elsewhere")
    (taken,) = _take(app, "elsewhere")
    message = messages.decode(taken.payload)
    message.headers["task"] = "drop_everything"
    app.broker.publish("all", [Outgoing(message.encode(), sent.id)])
    InMemoryWorker(app, hostname="w").run()
    assert [letter.reason["reason"] for letter in app.broker.dead("all")] == ["Untrusted"]
    assert "w.dq2" not in app.broker.queues() or app.broker.info("w.dq2").ready == 0


def _take(app: Umbel, queue: str) -> Any:
    consumer = app.broker.consumer(owner(queue))
    consumer.register()
    return take(consumer, queue)
