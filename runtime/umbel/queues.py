"""``task_queues``: the queues that an app knows, by name and by routing key."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from umbel.errors import ImproperlyConfigured, QueueNotFound, UmbelWarning

#: The end of the name of every queue that belongs to one worker, and of no other queue. Celery's.
OWN: Final = ".dq2"
#: What kombu's queues have besides: of exchanges, and of AMQP.
_NEEDLESS: Final = frozenset(
    {
        "exchange",
        "exchange_type",
        "binding_key",
        "bindings",
        "queue_arguments",
        "binding_arguments",
        "consumer_arguments",
        "durable",
        "exclusive",
        "auto_delete",
        "no_ack",
        "no_declare",
        "alias",
        "max_priority",
        "max_length",
        "max_length_bytes",
        "message_ttl",
        "expires",
        "channel",
        "on_declared",
    }
)
#: Of these the user would miss something: a limit on the queue.
_ELSEWHERE: Final = {
    "max_length": "`umbel queues set --max-length`, or spec.maxLength of its TaskQueue",
    "max_length_bytes": "`umbel queues set`, or its TaskQueue",
    "message_ttl": "expires= of tasks and calls",
}


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of ``task_queues``.

    Args:
        name: of the queue.
        routing_key: that leads to it in routes; its name unless given.
    """

    name: str
    routing_key: str = ""

    @classmethod
    def of(cls, given: Any, name: str | None = None) -> Queue:
        """Return a queue of what a setting lists: a name, a dict, a `Queue`, or an object with these attributes.

        Raises:
            ImproperlyConfigured: it is none of these, or a dict has something unknown.
        """
        if isinstance(given, Queue):
            return given
        if isinstance(given, str) and given:
            return cls(given)
        if isinstance(given, Mapping):
            return cls._of_mapping({"name": name, **given})
        if type(given).__name__ == "Broadcast":  # kombu's: its name is made anew in each process
            return Broadcast(getattr(given, "alias", None) or getattr(getattr(given, "exchange", None), "name", ""))
        found = getattr(given, "name", None)
        if isinstance(found, str) and found:  # kombu's
            return cls(found, getattr(given, "routing_key", None) or "")
        raise ImproperlyConfigured(f"task_queues holds {given!r}; give names, umbel.Queue(name), or dicts with a name")

    @classmethod
    def _of_mapping(cls, fields: Mapping[str, Any]) -> Queue:
        name = fields.get("name")
        if not isinstance(name, str) or not name:
            raise ImproperlyConfigured(f"task_queues holds {dict(fields)!r}, which has no name")
        for field in set(fields) - {"name", "routing_key", "broadcast"}:
            if field not in _NEEDLESS:
                raise ImproperlyConfigured(
                    f"the queue {name!r} of task_queues has {field!r}; a queue has a name, a routing_key, and broadcast: true "
                    "where each worker is to run its tasks"
                )
            if field in _ELSEWHERE and fields[field] is not None:
                warnings.warn(
                    f"{field} of the queue {name!r} in task_queues has no effect in Umbel: use {_ELSEWHERE[field]}",
                    UmbelWarning,
                    stacklevel=6,
                )
        kind = Broadcast if fields.get("broadcast") else Queue
        return kind(name, routing_key=fields.get("routing_key") or "")


class Broadcast(Queue):
    """A queue of ``task_queues`` whose tasks each worker runs that consumes it and lives, once.

    Args:
        name: of the queue, as calls and routes name it.
        queue: the same; Celery's second name for it counts where there is no first.
        routing_key: that leads to it in routes; its name unless given.
        needless: what kombu's ``Broadcast`` has besides; of no effect here.

    Example::

        app.conf.task_queues = [Queue("default"), Broadcast("caches")]

        forget_prices.apply_async(queue="caches")

    Raises:
        ImproperlyConfigured: it has no name, or something unknown.
    """

    __slots__ = ()

    def __init__(
        self, name: str | None = None, queue: str | None = None, *, routing_key: str = "", **needless: Any
    ) -> None:
        chosen = name or needless.pop("alias", None) or queue
        if not isinstance(chosen, str) or not chosen:
            raise ImproperlyConfigured(f"a Broadcast queue has no name ({chosen!r}): write umbel.Broadcast('caches')")
        unknown = needless.keys() - _NEEDLESS - {"unique"}
        if unknown:
            raise ImproperlyConfigured(
                f"Broadcast({chosen!r}) has {', '.join(sorted(map(repr, unknown)))}; it has a name and a routing_key"
            )
        super().__init__(chosen, routing_key)


def queues_of(given: Any) -> tuple[Queue, ...]:
    """Return the queues of a ``task_queues``: a list, or a dict by name; as text names with commas between them, or JSON of these.

    Raises:
        ImproperlyConfigured: see `Queue.of`.
    """
    if isinstance(given, str) and given.lstrip()[:1] in ("[", "{"):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError as error:
            raise ImproperlyConfigured(f"task_queues is {given!r}, which is no JSON ({error})") from error
    if isinstance(given, Mapping):
        return tuple(Queue.of(value or {}, str(name)) for name, value in given.items())
    if isinstance(given, str):
        return tuple(Queue(part.strip()) for part in given.split(",") if part.strip())
    if not isinstance(given, Iterable):
        raise ImproperlyConfigured(f"task_queues is {given!r}; give a list of names or of umbel.Queue(name)")
    return tuple(Queue.of(item) for item in given)


def by_routing_key(queues: Iterable[Queue] | None, key: str) -> str | None:
    """Return the queue that a routing key leads to: one with this key, else one of this name."""
    listed = tuple(queues or ())
    for queue in listed:
        if queue.routing_key == key:
            return queue.name
    return next((queue.name for queue in listed if queue.name == key), None)


def is_own(queue: str) -> bool:
    """Return whether a queue belongs to one worker, and ends some time after it."""
    return queue.endswith(OWN)


def check_known(queue: str, queues: Iterable[Queue] | None, default: str) -> None:
    """Refuse a queue that is not known, for ``task_create_missing_queues=False``.

    Raises:
        QueueNotFound: with the nearest one that is.
    """
    known = {default, *(listed.name for listed in queues or ())}
    if queue in known or is_own(queue):
        return
    near = difflib.get_close_matches(queue, sorted(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(known))}."
    raise QueueNotFound(
        f"the queue {queue!r} is not in task_queues, and task_create_missing_queues is false: {hint} Add it, or send the "
        "task to another one"
    )
