"""What the rest of Umbel asks of a result backend. One conformance suite (tests/conformance) holds every adapter to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from umbel.record import Record

#: Is called with each record; with None when nothing more will come.
Tell = Callable[[Record | None], object]


class End(NamedTuple):
    """How a delivery ended, for a backend that is not the broker."""

    task_id: str
    record: Record
    ttl: float
    reply_to: str | None = None


class Results(Protocol):
    """A result backend. Thread-safe; a forked process gets a fresh inbox by itself."""

    #: Whether somebody has to call `clean_up` now and then.
    needs_cleaning: bool

    def inbox(self) -> str | None:
        """Return the id of this process's reply inbox, to be named in ``reply_to``; None before the first wait.

        The inbox exists from the first `wait` on: a process that never waits costs nothing.
        """

    def get(self, task_id: str) -> Record | None:
        """Return the stored record, or None."""

    def get_many(self, task_ids: Sequence[str]) -> list[Record | None]:
        """Return the stored records of several tasks, in order, read at once."""

    def store(self, task_id: str, record: Record, ttl: float) -> bool:
        """Write a record; False if a later attempt or a final state stands there (nothing was written)."""

    def store_ends(self, ends: Sequence[End]) -> None:
        """Write the ends of deliveries, before these are acknowledged; what a later attempt has written stays.

        Unlike `store` it replaces an end of the same attempt: the answer to the first time may have been lost. Whoever waits
        is told.

        Raises:
            OperationalError: the backend is away. It may be called again.
            BackendError: it does not take one of them.
        """

    def clean_up(self) -> int:
        """Delete what is too old, where nothing else does that; return how many records went."""

    def wait(self, task_id: str, inbox: str | None = None) -> Future[Record]:
        """Return a future that is done once a record in a ready state is there. One connection serves all of them.

        Args:
            task_id: of the task.
            inbox: what the task's message names in ``reply_to``, if the caller knows. Where that is the inbox of this
                process, the worker replies to it without having to be asked.

        Re-reads the stored record after a reconnect and every 5 seconds, so that a reply which was lost only delays it.
        Cancel the future to stop waiting.
        """

    def wait_many(self, tasks: Sequence[tuple[str, str | None]]) -> list[Future[Record]]:
        """As `wait` for several tasks, each with what its message names in ``reply_to``: they are looked at together."""

    def wait_for(self, task_id: str, timeout: float | None = None, inbox: str | None = None) -> Record:
        """Wait in this thread until a record in a ready state is there, and return it.

        Args:
            task_id: of the task.
            timeout: seconds; None waits for ever.
            inbox: see `wait`.

        Raises:
            TimeoutError: it did not come in time.
            concurrent.futures.CancelledError: `close` was called.
        """

    def listen(self, task_id: str, tell: Tell) -> Callable[[], None]:
        """Have every state of a task told, the one that stands there first; return what ends that.

        ``tell`` gets the records, each newer than the one before; None when the backend was closed. It is called in any thread, and
        must be quick. What follows each other faster than it can be told may be left out, the last one never.
        """

    def forget(self, task_id: str) -> None:
        """Delete the record."""

    def close(self) -> None:
        """Drop connections and threads; futures under way are cancelled."""
