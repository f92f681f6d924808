"""The signals that a process may get before it is killed for its task."""

from __future__ import annotations

import signal
from typing import Any, Final

from umbel.errors import ImproperlyConfigured

SIGNALS: Final = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGABRT", "SIGUSR1", "SIGUSR2", "SIGKILL")


def number_of(given: Any) -> int | None:
    """Return the number of a signal that is to come before SIGKILL, None for none.

    Raises:
        ImproperlyConfigured: another signal than those of `SIGNALS`.
    """
    if given is None:
        return None
    text = str(given).upper()
    if text.isdecimal():
        name = next((number.name for number in signal.Signals if number.value == int(text)), text)
    else:
        name = text if text.startswith("SIG") else f"SIG{text}"
    if name not in SIGNALS:
        raise ImproperlyConfigured(f"signal={given!r} does not end a process: use one of {', '.join(SIGNALS)}")
    number = signal.Signals[name]
    return None if number is signal.SIGKILL else int(number)
