"""A producer that goes on through failures, and remembers which tasks it was told are sent."""

from __future__ import annotations

import threading
import time
from typing import Any

from umbel import Umbel
from umbel.errors import OperationalError


class Sending:
    """Sends `tests.sample_app.work` with rising numbers from a thread until it is told to stop.

    Args:
        app: the producer.
        pause: seconds between two tasks.
        options: of each send.
    """

    def __init__(self, app: Umbel, pause: float = 0.002, **options: Any) -> None:
        self._app = app
        self._pause = pause
        self._options = options
        self._stopped = threading.Event()
        self.sent: dict[int, float] = {}  #: number -> when sending had returned, monotonic
        self.results: dict[int, Any] = {}
        self.failed: list[tuple[int, OperationalError]] = []
        self._thread = threading.Thread(target=self._run, name="sending")
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stopped.is_set():
            try:
                result = self._app.send_task("tests.sample_app.work", (number,), **self._options)
            except OperationalError as error:
                self.failed.append((number, error))
            else:
                self.results[number] = result
                self.sent[number] = time.monotonic()
            number += 1
            time.sleep(self._pause)

    def sent_after(self, moment: float) -> bool:
        """Return whether a task was sent after a moment."""
        return any(when > moment for when in list(self.sent.values())[-3:])

    def stop(self) -> None:
        """Send no more."""
        self._stopped.set()
        self._thread.join()
