"""The app of tests with queues that belong to one worker."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from tests import sample_app

from umbel import Broadcast, Queue, Umbel

app = Umbel(
    "broadcasting",
    task_queues=[Queue("default"), Broadcast("everyone")],
    own_queue_grace=float(os.environ.get("OWN_QUEUE_GRACE", "300")),
    worker_direct=bool(os.environ.get("WORKER_DIRECT")),
    result_expires=600,
)


@app.task(bind=True)
def note(self: Any, word: str) -> str:
    """Note which worker ran it."""
    sample_app._note(f"ran {self.request.hostname} {word}")
    return str(self.request.hostname)


@app.task(bind=True)
async def note_async(self: Any, word: str) -> str:
    """The same, as a coroutine."""
    sample_app._note(f"ran {self.request.hostname} {word}")
    return str(self.request.hostname)


@app.task(bind=True, max_retries=1, default_retry_delay=0.05)
def second_try(self: Any) -> str:
    """Fail once in each worker."""
    sample_app._note(f"ran {self.request.hostname} {self.request.queue}")
    if self.request.retries == 0:
        raise self.retry()
    return str(self.request.queue)


@app.task(bind=True)
def hold(self: Any, folder: str) -> str:
    """Say that it runs by a file, and wait until it may end."""
    return str(sample_app.hold.run(self.request.hostname, folder))


@app.task
def names(copies: dict[str, str]) -> list[str]:
    """Return the workers to which a task was copied."""
    return sorted(copies)


def die_once_while_copying() -> None:
    """Kill the first child that has published copies, before it can acknowledge what it copied."""
    from umbel.broker.redis.ownqueues import RedisOwnQueues

    publish = RedisOwnQueues.publish

    def dying(self: RedisOwnQueues, name: str, messages: Any, ttl: float) -> list[str]:
        mark = Path(os.environ["DIE_ONCE"])
        half = messages[: len(messages) // 2]
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return publish(self, name, messages, ttl)
        publish(self, name, half, ttl)
        os.kill(os.getpid(), signal.SIGKILL)
        return []

    RedisOwnQueues.publish = dying  # type: ignore[method-assign]


if "BEAT_TO_ALL" in os.environ:
    app.conf.beat_schedule = {
        "all": {
            "task": "tests.broadcast_app.note",
            "schedule": 0.5,
            "args": ("beat",),
            "options": {"queue": "everyone"},
        }
    }

if "DIE_ONCE" in os.environ:
    die_once_while_copying()
