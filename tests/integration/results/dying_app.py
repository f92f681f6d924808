"""An app whose child dies once, between storing a result and acknowledging the task."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from umbel import Umbel
from umbel.results.database import DatabaseResults

app = Umbel("sample", result_expires=600)
_store_ends = DatabaseResults.store_ends


def _and_die(self: DatabaseResults, ends: Any) -> None:
    _store_ends(self, ends)
    flag = Path(os.environ["DIES_ONCE"])
    if flag.exists():
        flag.with_name("died").write_text(str(os.getpid()))
        flag.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


DatabaseResults.store_ends = _and_die  # type: ignore[method-assign]


@app.task(name="who")
def who() -> int:
    """Return which process it was."""
    return os.getpid()
