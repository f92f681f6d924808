"""The states of a task, and how they stand to each other."""

from __future__ import annotations

from typing import Final

PENDING: Final = "PENDING"  #: queued, delayed, or unknown
RECEIVED: Final = "RECEIVED"  #: taken by a worker (events only)
STARTED: Final = "STARTED"  #: running (stored only with ``track_started``)
RETRY: Final = "RETRY"  #: failed, will run again
SUCCESS: Final = "SUCCESS"
FAILURE: Final = "FAILURE"
REVOKED: Final = "REVOKED"  #: revoked, or expired before it ran
REJECTED: Final = "REJECTED"
IGNORED: Final = "IGNORED"

READY_STATES: Final = frozenset({SUCCESS, FAILURE, REVOKED})
EXCEPTION_STATES: Final = frozenset({RETRY, FAILURE, REVOKED})
PROPAGATE_STATES: Final = frozenset({FAILURE, REVOKED})
UNREADY_STATES: Final = frozenset({PENDING, RECEIVED, STARTED, REJECTED, RETRY})
ALL_STATES: Final = READY_STATES | UNREADY_STATES | {IGNORED}

#: The code of each state in a stored record; 0 is a custom state, whose name stands in the record's meta data.
#: Codes from 16 on are final: the store script refuses to replace them with a lower one of the same attempt.
CODES: Final = {PENDING: 1, RECEIVED: 2, STARTED: 3, RETRY: 4, REJECTED: 5, SUCCESS: 16, FAILURE: 17, REVOKED: 18}
NAMES: Final = {code: name for name, code in CODES.items()}
FINAL_CODE: Final = 16

#: The states from the last word to the first; a state that is not listed stands where None does.
PRECEDENCE: Final = (SUCCESS, FAILURE, None, REVOKED, STARTED, RECEIVED, REJECTED, RETRY, PENDING)
_PLACES: Final = {name: place for place, name in enumerate(PRECEDENCE)}


def precedence(state: str | None) -> int:
    """Return the place of a state in `PRECEDENCE`: the lower, the more it has to say."""
    return _PLACES.get(state, _PLACES[None])


class state(str):  # noqa: N801 - Celery's name
    """A state that can be compared: ``state("SUCCESS") > state("PENDING")``, since it comes later in the life of a task."""

    __slots__ = ()

    def __gt__(self, other: str) -> bool:
        return precedence(self) < precedence(other)

    def __ge__(self, other: str) -> bool:
        return precedence(self) <= precedence(other)

    def __lt__(self, other: str) -> bool:
        return precedence(self) > precedence(other)

    def __le__(self, other: str) -> bool:
        return precedence(self) >= precedence(other)
