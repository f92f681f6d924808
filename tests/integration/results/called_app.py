"""An app whose database takes a function to be reached, and a class."""

from __future__ import annotations

import os
import time
from typing import Any

from sqlalchemy.pool import NullPool

from umbel import Umbel


def note(engine: Any) -> None:
    """Write down which process made an engine, and of what kind."""
    with open(os.environ["CALLED"], "a") as called:
        called.write(f"{os.getpid()} {type(engine.pool).__name__}\n")


app = Umbel(
    "called",
    result_expires=600,
    database_engine_callback=note,
    database_engine_options={"poolclass": NullPool, "pool_recycle": 60},
)


@app.task(name="sleep")
def sleep(seconds: float) -> None:
    """Take some time."""
    time.sleep(seconds)
