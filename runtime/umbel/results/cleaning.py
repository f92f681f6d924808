"""Deletes now and then what is too old, where a result backend does not do that by itself."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from umbel.errors import UmbelError
from umbel.results.base import Results

log = logging.getLogger("umbel.results")

#: Seconds between two clean-ups by one worker. Several may meet: each deletes what it finds.
EVERY = 600.0


class Cleaner:
    """A thread of a worker's supervisor.

    Args:
        results: returns the backend; called in the thread.
        every: seconds between two clean-ups; the first comes at random within that time, so that workers take turns.
    """

    def __init__(self, results: Callable[[], Results], every: float = EVERY) -> None:
        self._results = results
        self._every = every
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="umbel-results-cleaner", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, without waiting for a clean-up that is under way."""
        self._stopping.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end."""
        self._thread.join(timeout)

    def _run(self) -> None:
        pause = self._every * random.random()
        while not self._stopping.wait(pause):
            pause = self._every
            try:
                count = self._results().clean_up()
            except UmbelError as error:
                log.warning("results.not_cleaned", extra={"error": str(error)})
            else:
                log.debug("results.cleaned", extra={"count": count})
