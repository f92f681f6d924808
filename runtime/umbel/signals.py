"""Hooks by which an app takes part in what happens around its tasks, with Celery's names.

from umbel.signals import worker_process_init

@worker_process_init.connect
def open_pool(**kwargs): ...
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast, overload

log = logging.getLogger("umbel.signals")

F = TypeVar("F", bound=Callable[..., Any])


class _Entry:
    """One receiver: kept weakly unless it is to live as long as the signal."""

    __slots__ = ("key", "receiver", "sender")

    def __init__(self, key: Hashable, receiver: Callable[..., Any], sender: Any, weak: bool) -> None:
        self.key = key
        self.sender = sender
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
    def connect(self, receiver: F, sender: Any = ..., weak: bool = ..., dispatch_uid: Hashable = ...) -> F: ...
    @overload
    def connect(
        self, receiver: None = ..., sender: Any = ..., weak: bool = ..., dispatch_uid: Hashable = ...
    ) -> Callable[[F], F]: ...
    def connect(
        self, receiver: Any = None, sender: Any = None, weak: bool = True, dispatch_uid: Hashable = None
    ) -> Any:
        """Have a function called when it happens: ``signal.connect(function)``, or as a decorator, with or without options.

        Args:
            receiver: takes keyword arguments, ``**kwargs`` among them: more may come.
            sender: call it only for this sender.
            weak: forget it once nobody else holds it; a function that was defined in another one is lost at once.
            dispatch_uid: connect only one receiver of this id, however often this is called.
        """
        if receiver is None:
            return lambda function: self.connect(function, sender, weak, dispatch_uid)
        if not callable(receiver):
            raise TypeError(f"the signal {self.name} takes a function to call, not {receiver!r}")
        key = _key(receiver, dispatch_uid)
        with self._lock:
            kept = tuple(entry for entry in self._entries if (entry.key, entry.sender) != (key, sender))
            self._entries = (*kept, _Entry(key, receiver, sender, weak))
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
        return found

    def send(self, sender: Any = None, **arguments: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Call all receivers for this sender. What one raises is logged, and keeps no other from being called.

        Returns: each receiver with what it returned, or raised.
        """
        answers: list[tuple[Callable[..., Any], Any]] = []
        for entry in self._entries:
            if entry.sender is not None and entry.sender is not sender and entry.sender != sender:
                continue
            receiver = entry.receiver()
            if receiver is None:
                continue
            try:
                answers.append((receiver, receiver(signal=self, sender=sender, **arguments)))
            except Exception as error:
                log.exception("signal.failed", extra={"signal": self.name, "receiver": repr(receiver)})
                answers.append((receiver, error))
        return answers

    send_robust = send

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


def _key(receiver: Any, dispatch_uid: Hashable) -> Hashable:
    if dispatch_uid is not None:
        return ("uid", dispatch_uid)
    if hasattr(receiver, "__self__") and hasattr(receiver, "__func__"):
        return (id(receiver.__self__), id(receiver.__func__))
    return id(receiver)


#: A process that runs tasks has begun: called in it, before its first task, in its main thread. In each executor.
worker_process_init = Signal("worker_process_init")
#: A process that runs tasks is about to end as it should: called in it, after its last task. Not when it is killed.
worker_process_shutdown = Signal("worker_process_shutdown", ("pid", "exitcode"))
