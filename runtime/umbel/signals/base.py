"""A signal: something that happens, and those who are called then."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar, cast, overload

from umbel import leaving
from umbel.backoff import exponential

log = logging.getLogger("umbel.signals")

F = TypeVar("F", bound=Callable[..., Any])

#: How often a receiver that was connected with ``retry=True`` is called at the most, and the longest pause in between.
TRIES = 5
LONGEST_PAUSE = 2.0


class Listening(Protocol):
    """Whoever computes something from who is connected to what."""

    def touch(self) -> None:
        """What was computed does not hold any more."""


#: Told of each connection, so that a sender need not ask for each task whether anybody listens.
_listening: weakref.WeakSet[Listening] = weakref.WeakSet()


def tell_of_connections(listening: Listening) -> None:
    """Have an object, which is held weakly, touched whenever something is connected to a signal or disconnected."""
    _listening.add(listening)


class _Entry:
    """One receiver: kept weakly unless it is to live as long as the signal."""

    __slots__ = ("key", "receiver", "retry", "sender")

    def __init__(self, key: Hashable, receiver: Callable[..., Any], sender: Any, weak: bool, retry: bool) -> None:
        self.key = key
        self.sender = sender
        self.retry = retry
        self.receiver: Callable[[], Callable[..., Any] | None]
        if not weak:
            self.receiver = lambda: receiver
        elif hasattr(receiver, "__self__") and hasattr(receiver, "__func__"):
            self.receiver = weakref.WeakMethod(cast(Any, receiver))
        else:
            self.receiver = weakref.ref(receiver)


class Signal:
    """Something that happens, and who is called then.

    Args:
        name: of the signal.
        provides: names of the arguments that receivers get, besides ``signal`` and ``sender``.
    """

    def __init__(self, name: str, provides: tuple[str, ...] = ()) -> None:
        self.name = name
        self.provides = frozenset(provides)
        self._entries: tuple[_Entry, ...] = ()
        self._lock = threading.Lock()

    @overload
    def connect(
        self, receiver: F, sender: Any = ..., weak: bool = ..., dispatch_uid: Hashable = ..., retry: bool = ...
    ) -> F: ...
    @overload
    def connect(
        self, receiver: None = ..., sender: Any = ..., weak: bool = ..., dispatch_uid: Hashable = ..., retry: bool = ...
    ) -> Callable[[F], F]: ...
    def connect(
        self,
        receiver: Any = None,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Hashable = None,
        retry: bool = False,
    ) -> Any:
        """Have a function called when it happens: ``signal.connect(function)``, or as a decorator, with or without options.

        Args:
            receiver: takes keyword arguments, ``**kwargs`` among them: more may come.
            sender: call it only for this sender; where that is a task, its name does too.
            weak: forget it once nobody else holds it; a function that was defined in another one is lost at once.
            dispatch_uid: connect only one receiver of this id, however often this is called.
            retry: call it again, after a pause, where it raises: five times in all, within four seconds.
        """
        if receiver is None:
            return lambda function: self.connect(function, sender, weak, dispatch_uid, retry)
        if not callable(receiver):
            raise TypeError(f"the signal {self.name} takes a function to call, not {receiver!r}")
        key = _key(receiver, dispatch_uid)
        with self._lock:
            kept = tuple(entry for entry in self._entries if (entry.key, entry.sender) != (key, sender))
            self._entries = (*kept, _Entry(key, receiver, sender, weak, retry))
        self._changed()
        return receiver

    def disconnect(
        self, receiver: Callable[..., Any] | None = None, sender: Any = None, dispatch_uid: Hashable = None
    ) -> bool:
        """Call a function no more; return whether it was connected."""
        key = _key(receiver, dispatch_uid)
        with self._lock:
            kept = tuple(entry for entry in self._entries if (entry.key, entry.sender) != (key, sender))
            found = len(kept) != len(self._entries)
            self._entries = kept
        if found:
            self._changed()
        return found

    def _changed(self) -> None:
        for one in list(_listening):
            one.touch()

    def send(self, sender: Any = None, **arguments: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Call all receivers for this sender. What one raises is logged, and keeps no other from being called.

        Returns: each receiver with what it returned, or raised.
        """
        answers: list[tuple[Callable[..., Any], Any]] = []
        for entry in self._entries:
            if entry.sender is not None and not _is_meant(entry.sender, sender):
                continue
            receiver = entry.receiver()
            if receiver is None:
                self._forget(entry)
            else:
                answers.append((receiver, self._call(entry, receiver, sender, arguments)))
        return answers

    send_robust = send

    def _call(self, entry: _Entry, receiver: Callable[..., Any], sender: Any, arguments: dict[str, Any]) -> Any:
        tries = TRIES if entry.retry else 1
        for number in range(1, tries + 1):
            try:
                return receiver(signal=self, sender=sender, **arguments)
            except SystemExit as error:
                if leaving.ask(error):
                    return error
                raise
            except Exception as error:
                told = {"signal": self.name, "receiver": repr(receiver)}
                if number == tries:
                    log.exception("signal.failed", extra=told)
                    return error
                log.warning("signal.retried", extra={**told, "error": repr(error)})
                time.sleep(exponential(number - 1, factor=0.25, cap=LONGEST_PAUSE))
        return None

    def _forget(self, entry: _Entry) -> None:
        """Nobody holds the receiver any more."""
        with self._lock:
            self._entries = tuple(one for one in self._entries if one is not entry)
        self._changed()

    @property
    def has_receivers(self) -> bool:
        """Whether anybody listens: senders that have something to prepare ask first."""
        return bool(self._entries)

    @property
    def receivers(self) -> list[Callable[..., Any]]:
        """Those that would be called, for whatever sender."""
        return [receiver for entry in self._entries if (receiver := entry.receiver()) is not None]

    def __repr__(self) -> str:
        return f"<Signal: {self.name} provides={sorted(self.provides)}>"


def _is_meant(wanted: Any, sender: Any) -> bool:
    if wanted is sender:
        return True
    if isinstance(wanted, str):
        return bool(wanted == (sender if isinstance(sender, str) else getattr(sender, "name", None)))
    return bool(wanted == sender)


def _key(receiver: Any, dispatch_uid: Hashable) -> Hashable:
    if dispatch_uid is not None:
        return ("uid", dispatch_uid)
    if hasattr(receiver, "__self__") and hasattr(receiver, "__func__"):
        return (id(receiver.__self__), id(receiver.__func__))
    return id(receiver)
