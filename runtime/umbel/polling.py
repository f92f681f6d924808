"""Waiting for file descriptors, of any number: select() fails for those from 1024 on."""

from __future__ import annotations

import select
from collections.abc import Iterable


def readable(descriptors: Iterable[int], timeout: float | None = None) -> list[int]:
    """Wait until one of them can be read, or is at its end; return which.

    Args:
        descriptors: file descriptors.
        timeout: seconds, None for ever.

    Returns: the descriptors that can be read; none after the timeout.
    """
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    # Rounded up: a wait that ends early would be begun again at once.
    return [fd for fd, _ in poll.poll(None if timeout is None else -int(-timeout * 1000 // 1))]
