"""Dead letters: ``app.dead``. Find them, send them again, drop them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from umbel.broker.base import DeadLetter
from umbel.control.taskinfo import describe, unpack

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.result import AsyncResult

#: Letters that are asked for, sent again or dropped at once.
PAGE: Final = 200
#: The times of letters are whole milliseconds.
_TICK: Final = 0.001


@dataclass(frozen=True, slots=True)
class Which:
    """Which dead letters: those for which everything holds that is given.

    Args:
        queues: names; all that the broker knows unless given.
        task: the task's name, or a pattern with ``*`` and ``?``.
        reason: the word, such as ``MaxDeliveries``.
        ids: of tasks.
        since, before: when they died, in seconds since the Unix epoch by the broker's clock: at ``since`` or later,
            earlier than ``before``.
    """

    queues: Collection[str] | None = None
    task: str | None = None
    reason: str | None = None
    ids: Collection[str] | None = None
    since: float | None = None
    before: float | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing was given, or queues only."""
        return all(given is None for given in (self.task, self.reason, self.ids, self.since, self.before))


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: the queue that keeps it, and what it says."""

    queue: str
    letter: DeadLetter
    #: What `describe` tells of the message: id, name, args, kwargs, retries, attempt, lost, …
    message: dict[str, Any]

    @property
    def id(self) -> str | None:
        """The task's id, None where the message cannot be read."""
        found: str | None = self.message["id"] or self.letter.reason.get("id")
        return found

    @property
    def task(self) -> str | None:
        """The task's name, None where the message cannot be read."""
        name: str | None = self.message["name"]
        return name

    @property
    def reason(self) -> str:
        """Why, in one word."""
        return str(self.letter.reason.get("reason", ""))

    @property
    def died(self) -> datetime:
        """When, by the broker's clock."""
        return datetime.fromtimestamp(self.letter.died, UTC)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can carry it."""
        return {"died": self.died.isoformat(timespec="seconds"), **self.message, "reason": self.letter.reason}


class DeadLetters:
    """What can be done with the dead letters of an app's broker.

    Args:
        app: whose broker keeps them.

    All calls raise OperationalError when the broker cannot be reached.
    """

    def __init__(self, app: Umbel) -> None:
        self._app = app

    def find(self, which: Which | None = None, **filters: Any) -> Iterator[Letter]:
        """Yield letters, queue by queue, the newest first.

        Args:
            which: which ones; or its fields as arguments: ``find(task="shop.*", reason="MaxDeliveries")``.
        """
        which = which or Which(**filters)
        for queue in self._queues(which):
            for page in self._pages(queue, which, act=None):
                yield from page

    def get(self, task_id: str) -> Letter | None:
        """Return the newest dead letter of a task, None if there is none."""
        return next(self.find(ids=[task_id]), None)

    def retry(self, which: Which | None = None, *, limit: int | None = None, **filters: Any) -> list[AsyncResult[Any]]:
        """Send letters again, as messages that were never delivered; return their results, to be waited for anew.

        Args:
            which: which ones; or its fields as arguments, as for `find`. Nothing given means all.
            limit: at most so many of each queue, the newest.

        Each is out of the dead letters and in its queue in one step: none is lost, none is sent twice.

        Raises:
            QueueClosed: a queue takes no tasks; its letters stay.
        """
        broker = self._app.broker
        letters = self._take(which or Which(**filters), limit, broker.retry_dead)
        return [self._app.AsyncResult(letter.id) for letter in letters if letter.id is not None]

    def purge(self, which: Which | None = None, *, limit: int | None = None, **filters: Any) -> int:
        """Drop letters for good; return how many.

        Args:
            which, limit: as for `retry`.
        """
        return len(self._take(which or Which(**filters), limit, self._app.broker.drop_dead))

    def _take(self, which: Which, limit: int | None, act: Callable[[str, list[DeadLetter]], int]) -> list[Letter]:
        taken: list[Letter] = []
        for queue in self._queues(which):
            for page in self._pages(queue, which, act=act, limit=limit):
                taken += page
        return taken

    def _queues(self, which: Which) -> list[str]:
        names = self._app.broker.queues() if which.queues is None else list(which.queues)
        for name in names:
            self._app.broker.trim_dead(name)
        return names

    def _pages(
        self,
        queue: str,
        which: Which,
        *,
        act: Callable[[str, list[DeadLetter]], int] | None,
        limit: int | None = None,
    ) -> Iterator[list[Letter]]:
        """Yield page after page of letters that match, after doing ``act`` to them.

        What is taken out moves those behind it forward, so a page goes on by time, not by number: from the millisecond of the
        last letter, without those of that millisecond that were seen and are still there.
        """
        before, left = which.before, limit
        stay: list[float] = []  # when those died that the next page must leave out
        while left is None or left > 0:
            page = self._app.broker.dead(queue, PAGE, len(stay), since=which.since, before=before)
            letters = [letter for letter in (_read(one, queue) for one in page) if _matches(letter, which)][:left]
            if letters and act is not None:
                act(queue, [letter.letter for letter in letters])
            if letters:
                yield letters
            if len(page) < PAGE:
                return
            if left is not None:
                left -= len(letters)
            gone = {letter.letter.token for letter in letters} if act is not None else set()
            before = page[-1].died + _TICK
            stay += [one.died for one in page if one.token not in gone]
            stay = [died for died in stay if died < before]


def _read(letter: DeadLetter, queue: str) -> Letter:
    return Letter(queue, letter, unpack(describe(letter.payload, queue)))


def _matches(letter: Letter, which: Which) -> bool:
    if which.ids is not None and letter.id not in which.ids:
        return False
    if which.reason is not None and letter.reason.lower() != which.reason.lower():
        return False
    return which.task is None or fnmatchcase(letter.task or "", which.task)
