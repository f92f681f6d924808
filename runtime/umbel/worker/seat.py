"""One place for a child, as the supervisor sees it: who sits there, what is to become of what it holds."""

from __future__ import annotations

from dataclasses import dataclass

from umbel.broker.base import Charge
from umbel.worker.link import Link


@dataclass(frozen=True)
class Sentence:
    """Why the supervisor kills a child, and what happens to the task that runs there.

    ``why``: "time-limit", "revoked", "drain-fail" (the task ends with an error) or "cold" (it goes back, its requeues
    counted); ``tag`` and ``queue`` of the task, 0 for none; ``seconds`` of the limit.
    """

    why: str
    tag: int = 0
    queue: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Burial:
    """An owner to bury, and how: first the sentence on its task is written, then the rest goes back.

    ``pid`` and ``cause`` of the death are for the story of a dead letter.
    """

    owner: str
    charge: Charge = Charge.NONE
    guilty: int | None = None
    sentence: Sentence | None = None
    pid: int = 0
    cause: str = ""


@dataclass
class Seat:
    """See the module. ``born`` is monotonic time; ``deaths`` in a row, for the pause before the next birth."""

    index: int
    link: Link | None = None
    pid: int = 0
    owner: str = ""
    born: float = 0.0
    next_birth: float = 0.0
    deaths: int = 0
    sentence: Sentence | None = None
    draining: bool = False
    told: int = 0  #: how many revoked ids the child was told

    def vacate(self) -> None:
        """Nobody sits here any more."""
        if self.link is not None:
            self.link.close()
        self.link, self.pid, self.owner, self.sentence, self.draining = None, 0, "", None, False
        self.told = 0


def burial_of(seat: Seat, running_tag: int, cause: str = "") -> Burial | None:
    """Return how the owner of a dead child is to be buried, None if it had none yet. Pure.

    Args:
        seat: of the dead child.
        running_tag: the task that was running there, 0 for none.
        cause: of the death, in a few words.

    A death that the supervisor decided charges nobody; otherwise the one task that ran is charged, the rest never.
    """
    if not seat.owner:
        return None
    sentence = seat.sentence
    if sentence is None:
        if not running_tag:
            return Burial(seat.owner)
        return Burial(seat.owner, Charge.LOST, running_tag, pid=seat.pid, cause=cause)
    if sentence.tag and sentence.tag == running_tag:
        return Burial(seat.owner, Charge.REQUEUE if sentence.why == "cold" else Charge.NONE, None, sentence)
    return Burial(seat.owner, Charge.REQUEUE if sentence.why == "cold" else Charge.NONE)


def pause_before_birth(deaths: int) -> float:
    """Return the seconds to wait before a child is started again, after so many early deaths in a row. Pure."""
    return 0.0 if deaths <= 3 else min(10.0, 0.25 * 2.0 ** (deaths - 4))
