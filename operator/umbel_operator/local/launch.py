"""Become another program that the kernel kills with its parent: `python launch.py PARENT PROGRAM ARGUMENT…`.

Run by its path and with nothing but the standard library, so that it costs a few milliseconds.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, then exec; the wish survives exec."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit("umbel up: prctl(PR_SET_PDEATHSIG) failed")
    # The parent may have died before: then the signal never comes.
    if os.getppid() != parent:
        sys.exit("umbel up has ended meanwhile")
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main()
