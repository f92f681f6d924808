"""What a run learns when it has to end early: a soft limit's exception, and the sentence that stands over its own end."""

from __future__ import annotations

from umbel.errors import SoftTimeLimitExceeded


class Condemned(BaseException):
    """The run was told to end, and this is how it ends, whatever the task made of it. Never raised into a task.

    Args:
        error: to store.
        state: FAILURE, REVOKED, or PENDING for a message that goes back.
    """

    def __init__(self, error: Exception, state: str) -> None:
        super().__init__(error, state)
        self.error = error
        self.state = state


def soft_limit(seconds: float) -> SoftTimeLimitExceeded:
    """Return what a task sees when its soft time limit is over."""
    return SoftTimeLimitExceeded(f"the soft time limit of {seconds:g} s is over")
