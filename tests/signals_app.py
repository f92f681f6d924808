"""An app that says in the ledger which signals it hears, of those that CONNECTED names, and in which process.

For workers only: who imports it is connected.
"""

from __future__ import annotations

import os
import signal as signals_of_the_system
import time
from typing import Any

from tests.sample_app import _note

from umbel import Umbel, signals

app = Umbel("signals", result_expires=600)


def _connect(name: str) -> None:
    def receiver(signal: Any, sender: Any, **got: Any) -> None:
        shown = {key: value for key, value in got.items() if isinstance(value, (str, int, bool))}
        _note(f"{name} {os.getpid()} {getattr(sender, 'hostname', sender)} {shown}")

    getattr(signals, name).connect(receiver, weak=False)


for _name in os.environ["CONNECTED"].split(","):
    _connect(_name)


@signals.celeryd_init.connect
def configure(instance: Any, conf: Any, options: dict[str, Any], **got: Any) -> None:
    conf.task_soft_time_limit = 33
    assert instance.hostname
    assert options["loglevel"]


@app.task(bind=True)
def soft_limit(self: Any) -> Any:
    return self.request.timelimit[1] or app.conf.task_soft_time_limit


@app.task(time_limit=0.5)
def too_long() -> None:
    time.sleep(60)


@app.task(bind=True)
def endless(self: Any) -> None:
    _note(f"runs {self.request.id}")
    signals_of_the_system.pause()
