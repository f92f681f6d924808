"""``--autoreload``: when a source file of the app changes, its processes are replaced, each once it has finished what it runs.

For development. The app is imported by a new zygote first: one that cannot be imported replaces nothing, so the children with
the last good code work on until the mistake is mended.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

log = logging.getLogger("umbel.worker")

#: Seconds between two looks at the files.
LOOK_EVERY = 0.5
#: Folders that hold no sources of the app.
_FOREIGN = frozenset({"__pycache__", "node_modules", "site-packages"})
#: Files that a log line names at most.
_SHOWN = 5


class Reloader:
    """See the module: watches all Python files below a folder, in a thread.

    Args:
        folder: where the app is.
        changed: called when files have changed.
    """

    def __init__(self, folder: str, changed: Callable[[], object]) -> None:
        self._folder = folder
        self._changed = changed
        self._seen = self._look()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="umbel-reloader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_EVERY):
            now = self._look()
            different = sorted(path for path, _ in set(now.items()) ^ set(self._seen.items()))
            if not different:
                continue
            self._seen = now
            names = sorted({os.path.relpath(path, self._folder) for path in different})
            log.warning("worker.reloads", extra={"changed": names[:_SHOWN], "count": len(names)})
            self._changed()

    def _look(self) -> dict[str, tuple[int, int]]:
        """Return when each file was written last, and its size."""
        found: dict[str, tuple[int, int]] = {}
        for folder, below, files in os.walk(self._folder):
            below[:] = [name for name in below if name not in _FOREIGN and not name.startswith(".")]
            for name in files:
                if name.endswith(".py"):
                    path = os.path.join(folder, name)
                    try:
                        status = os.stat(path)
                    except OSError:
                        continue  # just removed
                    found[path] = (status.st_mtime_ns, status.st_size)
        return found
