"""One place for a child, as the supervisor sees it: who sits there, what is to become of what it holds."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from umbel.broker.base import Charge
from umbel.worker.link import Link
from umbel.worker.slots import VOID

#: A child that lived shorter than this many seconds died early.
EARLY = 5.0


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
    """An owner to bury, and how: first the sentences on its tasks are written, then the rest goes back.

    ``pid`` and ``cause`` of the death are for the story of a dead letter.
    """

    owner: str
    charge: Charge = Charge.NONE
    guilty: int | None = None
    sentences: tuple[Sentence, ...] = ()
    suspects: tuple[int, ...] = ()
    pid: int = 0
    cause: str = ""


@dataclass(frozen=True)
class Condemned:
    """A task that was told to end, and when its child is killed if it has not (monotonic time)."""

    sentence: Sentence
    deadline: float


@dataclass
class Seat:
    """See the module. ``born`` is monotonic time; ``deaths`` early ones in a row, for the pause before the next birth.

    ``index`` is the child's number: its slots are those from ``index * slots.lanes`` on.
    """

    index: int
    link: Link | None = None
    pid: int = 0
    owner: str = ""
    entered: bool = False  #: the owner is registered
    born: float = 0.0
    next_birth: float = 0.0
    deaths: int = 0
    sentences: tuple[Sentence, ...] = ()  #: why it is being killed
    condemned: dict[int, Condemned] = field(default_factory=dict)  #: by tag: told to end, killed where they do not
    draining: bool = False
    leaving: bool = False  #: the child goes when it has finished, and the seat with it
    serial: int = -1  #: of the orders that the child was told last
    told: int = 0  #: how many revoked ids the child was told

    def note_death(self, now: float, *, expected: bool, worked: bool) -> None:
        """Decide when the next child may be born here: later each time while they die early, as where none can start.

        Args:
            now: monotonic time.
            expected: whether it was to die.
            worked: whether it had ended a task: then it can start, and whatever killed it, a pause helps nobody.
        """
        self.deaths = self.deaths + 1 if not expected and not worked and now - self.born < EARLY else 0
        self.next_birth = now + pause_before_birth(self.deaths)

    def vacate(self) -> None:
        """Nobody sits here any more."""
        if self.link is not None:
            self.link.close()
        self.link, self.pid, self.owner, self.sentences, self.draining = None, 0, "", (), False
        self.entered = False
        self.condemned = {}
        self.told = 0


def burial_of(seat: Seat, running: Sequence[int], cause: str = "") -> Burial | None:
    """Return how the owner of a dead child is to be buried, None if it had none yet. Pure.

    Args:
        seat: of the dead child.
        running: tags of the tasks that were running there.
        cause: of the death, in a few words.

    A death that the supervisor decided charges nobody. Otherwise the task that ran there alone is charged; of several any may
    have been the one, so each is suspect; what had not begun never is.
    """
    if not seat.owner:
        return None
    if seat.sentences:
        charge = Charge.REQUEUE if any(sentence.why == "cold" for sentence in seat.sentences) else Charge.NONE
        found = tuple(sentence for sentence in seat.sentences if sentence.tag and sentence.tag in running)
        return Burial(seat.owner, charge, None, found)
    tags = tuple(tag for tag in running if not tag & VOID)
    if not tags:
        return Burial(seat.owner)
    if len(tags) == 1:
        return Burial(seat.owner, Charge.LOST, tags[0], pid=seat.pid, cause=cause)
    return Burial(seat.owner, Charge.SUSPECT, suspects=tags, pid=seat.pid, cause=cause)


def pause_before_birth(deaths: int) -> float:
    """Return the seconds to wait before a child is started again, after so many early deaths in a row. Pure."""
    return 0.0 if deaths <= 3 else min(10.0, 0.25 * 2.0 ** (deaths - 4))


def cause_of(seat: Seat, code: int | None) -> str:
    """Return why a child ended, in a word, as it is counted. Pure."""
    if seat.sentences:
        return {"time-limit": "time_limit", "revoked": "revoked"}.get(seat.sentences[0].why, "drained")
    if seat.draining:
        return "drained"
    if code is not None and code < 0:
        return "killed" if code == -signal.SIGKILL else "signal"
    return "exit"


def hint_of(code: int | None) -> str:
    """Return what the exit of a child's process tells, for people: ``code`` is negative for a signal, None if unknown. Pure."""
    if code == -signal.SIGKILL:
        return "killed by SIGKILL: perhaps out of memory"
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return "it exited by itself: a task called os._exit, or the child could not start"
