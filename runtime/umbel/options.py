"""The options of tasks and of calls, checked where they are written down."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypedDict

from umbel.pace import rate_interval
from umbel.queues import Queue
from umbel.settings import COMPRESSIONS

#: The value of ``durability`` for a call that waits until a replica has the message too.
REPLICATED: Final = "replicated"


class Conflict(StrEnum):
    """What becomes of a unique task that is sent while an equal one has not ended."""

    EXISTING = "return-existing"  #: it is not sent; the caller gets the result of the other one
    REJECT = "reject"  #: it is not sent; the caller gets an error
    REPLACE = "replace"  #: it is sent; the other one is not run, unless it has started


class TaskOptions(TypedDict, total=False):
    """What ``@app.task`` takes besides ``bind``. Times are in seconds; None takes the app's setting, if any."""

    name: str | None
    base: type[Any] | None
    typing: bool
    max_retries: int | None
    default_retry_delay: float
    autoretry_for: Iterable[type[BaseException]]
    dont_autoretry_for: Iterable[type[BaseException]]
    retry_kwargs: Mapping[str, Any]
    retry_backoff: bool | float
    retry_backoff_max: float
    retry_jitter: bool
    throws: type[BaseException] | Iterable[type[BaseException]]
    trail: bool
    time_limit: float | None
    soft_time_limit: float | None
    ignore_result: bool | None
    store_errors_even_if_ignored: bool | None
    track_started: bool | None
    acks_late: bool | None
    exclusive: bool
    queue: str | None
    priority: int | None
    expires: float | None
    serializer: str | None
    compression: str | None
    concurrency_limit: int | None
    rate_limit: str | float | None
    key: str | Callable[..., Any] | None
    unique: bool
    unique_for: float | None
    unique_key: str | Callable[..., Any] | None
    on_conflict: str
    group: str | Callable[..., Any] | None
    durability: str | None
    shadow_name: Callable[..., str | None] | None
    resultrepr_maxsize: int
    pydantic: bool
    pydantic_strict: bool
    pydantic_context: Mapping[str, Any] | None
    pydantic_dump_kwargs: Mapping[str, Any] | None
    send_events: bool


class CallOptions(TypedDict, total=False):
    """What ``apply_async`` and ``send_task`` take besides the arguments."""

    task_id: str | None
    countdown: float | None
    eta: datetime | None
    expires: float | datetime | None
    queue: str | Queue | None
    priority: int | None
    time_limit: float | None
    soft_time_limit: float | None
    ignore_result: bool | None
    serializer: str | None
    compression: str | None
    headers: Mapping[str, Any] | None
    shadow: str | None
    argsrepr: str | None
    kwargsrepr: str | None
    retry: bool | None
    retry_policy: Mapping[str, Any] | None
    root_id: str | None
    parent_id: str | None
    add_to_parent: bool
    group: str | None
    durability: str | None
    link: Any
    link_error: Any
    stamps: Mapping[str, Any] | None
    stamped_headers: Sequence[str] | None
    group_id: str | None
    group_index: int | None


def _seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


def _limit(value: Any) -> bool:
    return _seconds(value) and value > 0


def _priority(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 9


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _text_or_function(value: Any) -> bool:
    return _text(value) or callable(value)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _exceptions(value: Any) -> bool:
    if isinstance(value, type):
        return issubclass(value, BaseException)
    return isinstance(value, (tuple, list, set, frozenset)) and all(
        isinstance(item, type) and issubclass(item, BaseException) for item in value
    )


def _backoff(value: Any) -> bool:
    return isinstance(value, bool) or _limit(value)


def _mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _rate(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return False
    try:
        return rate_interval(value) > 0
    except ValueError:
        return False


def _places(value: Any) -> bool:
    return _count(value) and value > 0


def _key(value: Any) -> bool:
    return _text(value) or callable(value)


def _conflict(value: Any) -> bool:
    return isinstance(value, str) and value in set(Conflict)


def _signatures(value: Any) -> bool:
    return _mapping(value) or (isinstance(value, (list, tuple)) and all(map(_mapping, value)))


def _queue(value: Any) -> bool:
    return _text(value) or isinstance(value, Queue)


def _class(value: Any) -> bool:
    return isinstance(value, type)


Rule = tuple[Callable[[Any], bool], bool, str]

_SECONDS: Final = "seconds, not below 0"
_LIMIT: Final = "seconds above 0"
_KEY: Final = "the name of a parameter of the task, or a function that takes the same arguments"

#: option -> (test, whether None is fine, what is expected)
_TASK: Final[dict[str, Rule]] = {
    "name": (_text, True, "text that is not empty"),
    "base": (_class, True, "a subclass of umbel.Task"),
    "bind": (_flag, False, "True or False"),
    "typing": (_flag, False, "True or False"),
    "max_retries": (_count, True, "a whole number from 0 on, or None for no bound"),
    "default_retry_delay": (_seconds, False, _SECONDS),
    "autoretry_for": (_exceptions, False, "exception classes, as a tuple"),
    "dont_autoretry_for": (_exceptions, False, "exception classes, as a tuple"),
    "retry_kwargs": (_mapping, False, "a dict of options of retry()"),
    "retry_backoff": (_backoff, False, "True, False, or the seconds of the first wait"),
    "retry_backoff_max": (_limit, False, _LIMIT),
    "retry_jitter": (_flag, False, "True or False"),
    "throws": (_exceptions, False, "exception classes, as a tuple"),
    "trail": (_flag, False, "True or False"),
    "time_limit": (_limit, True, _LIMIT),
    "soft_time_limit": (_limit, True, _LIMIT),
    "ignore_result": (_flag, True, "True or False"),
    "store_errors_even_if_ignored": (_flag, True, "True or False"),
    "track_started": (_flag, True, "True or False"),
    "acks_late": (_flag, True, "True or False"),
    "exclusive": (_flag, False, "True or False"),
    "queue": (_queue, True, "the name of a queue, or an umbel.Queue"),
    "priority": (_priority, True, "a whole number from 0 to 9; 9 is served first"),
    "expires": (_limit, True, _LIMIT),
    "serializer": (_text, True, "the name of a codec, such as 'json'"),
    "compression": (lambda v: v in COMPRESSIONS, True, f"one of {', '.join(COMPRESSIONS)}"),
    "concurrency_limit": (_places, True, "a whole number from 1 on"),
    "rate_limit": (_rate, True, "a rate such as '100/m' (of s, m, h, d), or a number a second"),
    "key": (_key, True, _KEY),
    "unique": (_flag, False, "True or False"),
    "unique_for": (_limit, True, _LIMIT),
    "unique_key": (_key, True, _KEY),
    "on_conflict": (_conflict, False, f"one of {', '.join(map(repr, map(str, Conflict)))}"),
    "group": (_text_or_function, True, "the name of a parameter, or a function that takes the call's arguments"),
    "durability": (lambda v: v == REPLICATED, True, "'replicated', or None"),
    "shadow_name": (callable, True, "a function (task, args, kwargs, options) that returns a name or None"),
    "resultrepr_maxsize": (_places, False, "a whole number from 1 on"),
    "pydantic": (_flag, False, "True or False"),
    "pydantic_strict": (_flag, False, "True or False"),
    "pydantic_context": (_mapping, True, "a dict"),
    "pydantic_dump_kwargs": (_mapping, True, "a dict of options of model_dump()"),
    "send_events": (_flag, False, "True or False"),
}

#: The options that Umbel itself has, with their rules.
TASK_RULES: Final[Mapping[str, Rule]] = _TASK

_CALL: Final[dict[str, Rule]] = {
    "task_id": (_text, True, "text that is not empty"),
    "countdown": (_seconds, True, _SECONDS),
    "eta": (lambda v: isinstance(v, datetime), True, "a datetime"),
    "expires": (lambda v: isinstance(v, datetime) or _seconds(v), True, "seconds, not below 0, or a datetime"),
    "queue": _TASK["queue"],
    "priority": _TASK["priority"],
    "time_limit": _TASK["time_limit"],
    "soft_time_limit": _TASK["soft_time_limit"],
    "ignore_result": _TASK["ignore_result"],
    "serializer": _TASK["serializer"],
    "compression": _TASK["compression"],
    "headers": (_mapping, True, "a dict"),
    "root_id": (_text, True, "a task id"),
    "parent_id": (_text, True, "a task id"),
    "add_to_parent": (_flag, False, "True or False"),
    "group": (_text, True, "text that is not empty"),
    "durability": _TASK["durability"],
    "link": (_signatures, True, "a signature, or a list of them"),
    "link_error": (_signatures, True, "a signature, or a list of them"),
    "stamps": (_mapping, True, "a dict of lists"),
    "shadow": (_text, True, "text that is not empty"),
    "argsrepr": (_text, True, "text that is not empty"),
    "kwargsrepr": (_text, True, "text that is not empty"),
    "retry": (_flag, True, "True or False"),
    "retry_policy": (_mapping, True, "a dict"),
    "group_id": (_text, True, "the id of the group that the call belongs to"),
    "group_index": (_count, True, "its place there, from 0 on"),
}

_NOT_YET: Final = "is not there yet in this version of Umbel; leave it out"
_NO_EXCHANGE: Final = "does not exist in Umbel, which has no exchanges; use queue="

#: Celery's options that would be missed if they were passed over in silence.
REFUSED_TASK: Final[dict[str, str]] = {
    "exchange": _NO_EXCHANGE,
    "routing_key": _NO_EXCHANGE,
    **dict.fromkeys(
        ("acks_on_failure", "acks_on_timeout"),
        "does not exist in Umbel: a failed task is acknowledged; raise Reject(requeue=True)",
    ),
    "retry_on_worker_lost": "does not exist in Umbel: a task whose worker dies runs again; acks_late=False is for at most once",
    "acks_on_failure_or_timeout": "does not exist in Umbel: a failed task is acknowledged; raise Reject(requeue=True)",
    "reject_on_worker_lost": "does not exist in Umbel: it follows from acks_late; the queue's maxDeliveries bounds it",
}
_REFUSED_CALL: Final[dict[str, str]] = {
    **dict.fromkeys(("chain", "chord"), _NOT_YET),
    "exchange": _NO_EXCHANGE,
    "routing_key": _NO_EXCHANGE,
    "connection": "does not exist in Umbel; a second broker is a second app",
    "producer": "does not exist in Umbel; a second broker is a second app",
    "publisher": "does not exist in Umbel; a second broker is a second app",
    **dict.fromkeys(("delivery_mode", "mandatory", "immediate", "confirm_timeout"), "is of AMQP; leave it out"),
    **dict.fromkeys(("reply_to", "correlation_id"), "is the library's own business; leave it out"),
    "timeout": "does not exist in Umbel; the setting publish_timeout bounds how long a call waits for the broker",
}


def check_task_options(task: str, options: Mapping[str, Any]) -> None:
    """Check what a task was declared with.

    Raises:
        TypeError: an option that does not exist, with the nearest that does, or a value of the wrong type.
        ValueError: a value out of range, or a soft limit that is not below the hard one.
    """
    _check(f"the task {task}", options, _TASK, REFUSED_TASK)
    _check_limits(f"the task {task}", options.get("time_limit"), options.get("soft_time_limit"))
    _check_keys(f"the task {task}", options)


def check_call_options(task: str, options: Mapping[str, Any]) -> None:
    """Check the options of one call; raises as `check_task_options` does."""
    _check(f"the call of {task}", options, _CALL, _REFUSED_CALL)
    if options.get("countdown") is not None and options.get("eta") is not None:
        raise ValueError(f"the call of {task} has both countdown and eta; give one of them")


def _check(what: str, options: Mapping[str, Any], rules: Mapping[str, Rule], refused: Mapping[str, str]) -> None:
    for name, value in options.items():
        rule = rules.get(name)
        if rule is None:
            raise TypeError(_unknown(what, name, rules, refused))
        test, may_be_none, expected = rule
        if (value is None and may_be_none) or test(value):
            continue
        kind = (
            TypeError
            if isinstance(value, (bool, type(None))) or not isinstance(value, (int, float, str))
            else ValueError
        )
        raise kind(f"{what} cannot have {name}={value!r}: give {expected}")


def _unknown(what: str, name: str, rules: Iterable[str], refused: Mapping[str, str]) -> str:
    if name in refused:
        return f"{what}: the option {name} {refused[name]}"
    known = list(rules)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(known))}"
    return f"{what} has an unknown option {name!r}: {hint}"


def _check_limits(what: str, hard: float | None, soft: float | None) -> None:
    if hard is not None and soft is not None and soft >= hard:
        raise ValueError(
            f"{what} has soft_time_limit={soft:g}, not below time_limit={hard:g}: the soft limit could never act"
        )


def _check_keys(what: str, options: Mapping[str, Any]) -> None:
    """Refuse an option that would have no effect without another one."""
    limited = options.get("concurrency_limit") is not None or options.get("rate_limit") is not None
    unique = bool(options.get("unique")) or options.get("unique_for") is not None
    if options.get("key") is not None and not limited:
        raise ValueError(
            f"{what} has key={options['key']!r} and no limit for it: add concurrency_limit= or rate_limit=; "
            "for unique= the key is unique_key="
        )
    if options.get("unique_key") is not None and not unique:
        raise ValueError(f"{what} has unique_key={options['unique_key']!r} and is not unique: add unique=True")
    if options.get("on_conflict", Conflict.EXISTING) != Conflict.EXISTING and not unique:
        raise ValueError(f"{what} has on_conflict={options['on_conflict']!r} and is not unique: add unique=True")


def check_arguments(task: str, args: object, kwargs: object) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Return args and kwargs of a call, None as empty.

    Raises:
        TypeError: args is no list or tuple, or kwargs no dict with text keys.
    """
    if args is None:
        args = ()
    if kwargs is None:
        kwargs = {}
    if not isinstance(args, (list, tuple)):
        raise TypeError(f"args of {task} must be a list or a tuple, not {type(args).__name__}: write args=({args!r},)")
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        raise TypeError(f"kwargs of {task} must be a dict with text as keys, not {kwargs!r}")
    return args, kwargs
