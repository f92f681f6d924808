"""The app whose workers, producers and beat sign: what they send, and what tasks return. `SIGNED_KEYS` names the folder of keys."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from umbel import Umbel

keys = Path(os.environ["SIGNED_KEYS"])
app = Umbel("signed", result_expires=600)
app.conf.update(
    security_key=str(keys / "app.key"),
    security_certificate=str(keys / "app.pem"),
    security_cert_store=str(keys / "*.pem"),
    task_compression="zlib",
    result_compression="zlib",
    result_serializer="auth",
    beat_schedule={"often": {"task": "signed.ticked", "schedule": 0.2, "args": ("tick" * 100,)}},
)
app.setup_security()


def note(line: str) -> None:
    fd = os.open(os.environ["SAMPLE_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(fd, f"{line}\n".encode())
    finally:
        os.close(fd)


@app.task(name="signed.padded")
def padded(number: int, padding: str = "") -> int:
    return number


@app.task(name="signed.total")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(name="signed.flaky", bind=True, max_retries=5)
def flaky(self: Any, number: int) -> int:
    """Ask to be run again twice: with the same arguments and an expiry, then with other ones."""
    if self.request.retries == 0:
        raise self.retry(countdown=0.05, expires=600)
    if self.request.retries == 1:
        raise self.retry(args=(number + 1,), countdown=0.05)
    return number


@app.task(name="signed.dies_once")
def dies_once(number: int) -> int:
    """Die, the first time, as if the kernel had killed it."""
    mark = keys / f"died-{number}"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), 9)
    return number


@app.task(name="signed.endless", time_limit=0.5)
def endless() -> None:
    time.sleep(60)


@app.task(name="signed.told")
def told(task_id: str) -> None:
    note(f"told {task_id}")


@app.task(name="signed.ticked")
def ticked(word: str) -> None:
    note(f"ticked {len(word)}")
