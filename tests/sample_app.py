"""The app whose workers the tests start, kill and freeze. What a task did is written outside Redis: one line a run."""

from __future__ import annotations

import gc
import os
import signal
import time
from pathlib import Path
from typing import Any

from umbel import Task, Umbel

app = Umbel("sample", result_expires=600)
_IMPORTED_BY = os.getpid()


def _note(line: str) -> None:
    """Append a line to the ledger in one write, so that lines of several processes never mix."""
    ledger = os.environ.get("SAMPLE_LEDGER")
    if ledger:
        fd = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(fd, f"{line}\n".encode())
        finally:
            os.close(fd)


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def work(number: int, seconds: float = 0.0) -> int:
    """Take some time, then note that it was done."""
    if seconds:
        time.sleep(seconds)
    _note(f"ran {number}")
    return number


@app.task(bind=True)
def counts_charges(self: Any, number: int, seconds: float) -> int:
    """Return how many deliveries of this message were charged before this one."""
    time.sleep(seconds)
    _note(f"ran {number}")
    return int(self.request.attempt)


@app.task
def hold(number: int, folder: str, seconds: float = 60.0) -> int:
    """Say that it runs by a file, and wait until a file allows it to end."""
    _note(f"began {number}")
    Path(folder, f"running-{number}").write_text(str(os.getpid()))
    until = time.monotonic() + seconds
    while time.monotonic() < until and not Path(folder, "go").exists():
        time.sleep(0.02)
    _note(f"ran {number}")
    return number


@app.task
def on_signal(number: int, folder: str) -> str:
    """Say that it runs by a file; on SIGTERM note it, and go on."""
    signal.signal(signal.SIGTERM, lambda *_: _note(f"signalled {number}"))
    Path(folder, f"running-{number}").write_text(str(os.getpid()))
    time.sleep(60)
    return "slept"


@app.task
def compute(number: int, folder: str, seconds: float = 60.0) -> int:
    """Say that it runs by a file, and keep the processor busy until a file allows it to end."""
    Path(folder, f"running-{number}").write_text(str(os.getpid()))
    until = time.monotonic() + seconds
    while time.monotonic() < until and not Path(folder, "go").exists():
        sum(range(20_000))
    return number


@app.task(exclusive=True)
def holds_alone(number: int, folder: str) -> int:
    """As `hold`, and never beside another run of itself."""
    return hold(number, folder)


@app.task(time_limit=1)
def too_long() -> None:
    time.sleep(60)


@app.task(soft_time_limit=0.3)
def asked_to_end() -> str:
    try:
        time.sleep(60)
    except Exception as error:
        return type(error).__name__
    return "slept"


@app.task(bind=True, max_retries=3)
def fails_twice(self: Any) -> int:
    """Succeed at the third attempt."""
    if self.request.retries < 2:
        raise self.retry(countdown=0.05, exc=ValueError("not yet"))
    return int(self.request.retries)


@app.task(bind=True, max_retries=1)
def never_succeeds(self: Any) -> None:
    raise self.retry(countdown=0.05, exc=ValueError("never"))


@app.task
def exits() -> None:
    os._exit(7)


@app.task
def kills_worker() -> None:
    """Kill the whole worker, as running out of memory does in a pod."""
    _note("poison")
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(10)


@app.task(acks_late=False)
def exits_once() -> None:
    """At most once: what dies here is not run again."""
    _note("exits_once")
    os._exit(7)


@app.task
def inherited() -> tuple[int, int, int]:
    """Return how many objects the collector need not look at, the process that imported this app, and this one."""
    return gc.get_freeze_count(), _IMPORTED_BY, os.getpid()


@app.task(track_started=True)
def tracked(folder: str) -> str:
    until = time.monotonic() + 30
    while time.monotonic() < until and not Path(folder, "go").exists():
        time.sleep(0.02)
    return "done"


@app.task(bind=True)
def progresses(self: Any, folder: str) -> str:
    self.update_state(state="PROGRESS", meta={"percent": 40})
    until = time.monotonic() + 30
    while time.monotonic() < until and not Path(folder, "go").exists():
        time.sleep(0.02)
    return "done"


@app.task(bind=True)
def who(self: Any) -> dict[str, Any]:
    return {
        "id": self.request.id,
        "hostname": self.request.hostname,
        "retries": self.request.retries,
        "pid": os.getpid(),
    }


@app.task
async def later(seconds: float) -> str:
    import asyncio

    await asyncio.sleep(seconds)
    return "awaited"


@app.task(ignore_result=True)
def silent(number: int) -> int:
    _note(f"ran {number}")
    return number


@app.task(concurrency_limit=1, key="customer")
def for_customer(customer: str, number: int, seconds: float = 0.0) -> int:
    """Note when it begins and ends, so that a test sees whether two of one customer ran at once."""
    _note(f"begin {customer} {number}")
    time.sleep(seconds)
    _note(f"end {customer} {number}")
    return number


@app.task(concurrency_limit=1, acks_late=False)
def once_at_a_time(folder: str) -> None:
    """At most once, one at a time; ends when a file allows it."""
    _note(f"begin once {os.getpid()}")
    until = time.monotonic() + 30
    while time.monotonic() < until and not Path(folder, "go").exists():
        time.sleep(0.02)
    _note("end once 0")


@app.task(rate_limit="20/s")
def paced(number: int) -> float:
    """Return when it ran."""
    _note(f"ran {number}")
    return time.time()


@app.task(bind=True)
def refuses(self: Any, folder: str, requeue: bool) -> int:
    """Reject the message until a file allows to take it."""
    from umbel.errors import Reject

    _note("refused")
    if not Path(folder, "go").exists():
        raise Reject("not now", requeue=requeue)
    return int(self.request.attempt)


@app.task
def ignores() -> None:
    from umbel.errors import Ignore

    _note("ran ignores")
    raise Ignore()


@app.task(bind=True, max_retries=None)
def tries_for_ever(self: Any) -> None:
    _note(f"ran {self.request.retries}")
    raise self.retry(countdown=0.2)


@app.task(acks_late=False)
def at_most_once(number: int, folder: str) -> int:
    """Note the start, then wait until a file allows to end: whoever dies in between, there is no second start."""
    _note(f"began {number}")
    until = time.monotonic() + 30
    while time.monotonic() < until and not Path(folder, "go").exists():
        time.sleep(0.02)
    _note(f"ran {number}")
    return number


@app.task(concurrency_limit=1, key="customer")
def held_for(customer: str, number: int, folder: str) -> int:
    """As `hold`, one at a time for each customer."""
    return hold.run(number, folder)


@app.task(unique=True, unique_key="name")
def only_one(name: str, folder: str) -> str:
    """Run until a file allows to end; one of a name at a time, and no second one is sent."""
    _note(f"began {name}")
    until = time.monotonic() + 30
    while time.monotonic() < until and not Path(folder, "go").exists():
        time.sleep(0.02)
    _note(f"ran {name}")
    return name


class _Mourned(Task[Any, Any]):
    """Notes how it ends."""

    abstract = True

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        _note(f"failed {type(exc).__name__} {args} {self.request.id == task_id}")
        if args[1:] == ["die"]:
            os._exit(3)
        if args[1:] == ["hang"]:
            time.sleep(60)

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        _note(f"returned {status}")


@app.task(base=_Mourned, time_limit=1)
def mourned(number: int, how: str = "") -> None:
    _note(f"ran {number}")
    time.sleep(60)


@app.task(base=_Mourned)
def mourned_crash(number: int, how: str = "") -> None:
    _note(f"ran {number}")
    os._exit(7)


@app.task(time_limit=0.5, ignore_result=True, store_errors_even_if_ignored=True)
def overdue_ignored() -> None:
    time.sleep(60)


@app.task(bind=True)
def times(self: Any) -> dict[str, Any]:
    """Tell when this was to begin and to expire, as the task sees it."""
    request = self.request
    return {
        "eta": request.eta and request.eta.timestamp(),
        "expires": request.expires and request.expires.timestamp(),
    }
