"""An app whose workers die right after they have forwarded a dead letter, as often as the ledger has no line for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.sample_app import _note, app

from umbel import Reject
from umbel.broker.redis.dead import DeadLetters

__all__ = ["app"]

DEATHS = 2
_forward = DeadLetters.forward


@app.task
def refuse() -> None:
    raise Reject("never")


def _forward_and_die(self: DeadLetters, queue: str, payload: bytes, original: bytes) -> bool:
    forwarded = _forward(self, queue, payload, original)
    ledger = Path(os.environ["SAMPLE_LEDGER"])
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    if lines.count("forwarded") < DEATHS:
        _note("forwarded")
        os.kill(os.getpid(), signal.SIGKILL)
    return forwarded


DeadLetters.forward = _forward_and_die  # type: ignore[method-assign]
