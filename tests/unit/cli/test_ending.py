"""A process that waits for the signal that ends it gets it, at whatever moment it comes."""

from __future__ import annotations

import subprocess
import sys

#: Signals at moments that move through the first fifth of a millisecond of each wait.
SCRIPT = """
import signal
from umbel.cli.ending import Ending

ending = Ending([signal.SIGALRM])
for number in range(3000):
    signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + number % 200))
    assert ending.wait() == signal.SIGALRM
"""


def test_a_signal_ends_a_wait_whenever_it_comes() -> None:
    assert subprocess.run([sys.executable, "-c", SCRIPT], timeout=60).returncode == 0
