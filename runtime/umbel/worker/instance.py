"""The worker as receivers of signals see it: their ``sender`` or ``instance``."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from umbel import signals
from umbel.logs import TASK_LOGGER
from umbel.worker.options import WorkerOptions


@dataclass(frozen=True)
class Instance:
    """One worker.

    Args:
        hostname: its name.
        app: that it works for.
        options: that it was started with.
    """

    hostname: str
    app: Any
    options: WorkerOptions

    @classmethod
    def of(cls, app: Any, options: WorkerOptions) -> Instance:
        """Return the worker of an app."""
        return cls(options.name(app.main), app, options)

    def __str__(self) -> str:
        return self.hostname

    def set_up(self) -> None:
        """Send the signals of a worker that begins, in the process from which all others of it come."""
        signals.celeryd_init.send(self.hostname, instance=self, conf=self.app.conf, options=asdict(self.options))
        signals.celeryd_after_setup.send(self.hostname, instance=self, conf=self.app.conf)
        self._set_up_logging()
        signals.worker_init.send(self)

    def _set_up_logging(self) -> None:
        """Leave the logs of tasks to who is connected to setup_logging; the command line has set them up before."""
        shown = logging.getLevelNamesMapping().get(self.options.loglevel, logging.INFO)
        how = {"loglevel": shown, "logfile": None, "format": None, "colorize": None}
        root = logging.getLogger()
        if signals.setup_logging.has_receivers:
            for handler in list(root.handlers):
                root.removeHandler(handler)
            signals.setup_logging.send(self, **how)
            return
        signals.after_setup_logger.send(self, logger=root, **how)
        signals.after_setup_task_logger.send(self, logger=logging.getLogger(TASK_LOGGER), **how)
