"""The attributes of a task: its options, as a class-based task sets them, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from umbel.arguments import Arguments
from umbel.errors import MaxRetriesExceededError, OperationalError
from umbel.keying import CallKey
from umbel.unique import Unique

#: Class attributes that are options too: a class-based task sets them in its body.
OPTIONS: tuple[str, ...] = (
    "typing",
    "max_retries",
    "default_retry_delay",
    "autoretry_for",
    "dont_autoretry_for",
    "retry_kwargs",
    "retry_backoff",
    "retry_backoff_max",
    "retry_jitter",
    "throws",
    "trail",
    "time_limit",
    "soft_time_limit",
    "ignore_result",
    "store_errors_even_if_ignored",
    "track_started",
    "acks_late",
    "exclusive",
    "queue",
    "priority",
    "expires",
    "serializer",
    "compression",
    "concurrency_limit",
    "rate_limit",
    "key",
    "unique",
    "unique_for",
    "unique_key",
    "on_conflict",
    "group",
    "durability",
    "resultrepr_maxsize",
    "pydantic",
    "pydantic_strict",
    "pydantic_context",
    "pydantic_dump_kwargs",
    "send_events",
)


class TaskAttributes:
    """See the module. `umbel.Task` has them; None means that the app's setting applies."""

    name: str = ""
    typing: bool = True
    max_retries: int | None = 3
    default_retry_delay: float = 180.0
    autoretry_for: Iterable[type[BaseException]] = ()
    dont_autoretry_for: Iterable[type[BaseException]] = ()
    retry_kwargs: Mapping[str, Any] = {}
    retry_backoff: bool | float = False
    retry_backoff_max: float = 600.0
    retry_jitter: bool = True
    throws: type[BaseException] | Iterable[type[BaseException]] = ()
    trail: bool = True
    time_limit: float | None = None
    soft_time_limit: float | None = None
    ignore_result: bool | None = None
    store_errors_even_if_ignored: bool | None = None
    track_started: bool | None = None
    acks_late: bool | None = None
    exclusive: bool = False
    queue: str | None = None
    priority: int | None = None
    expires: float | None = None
    serializer: str | None = None
    compression: str | None = None
    concurrency_limit: int | None = None
    rate_limit: str | float | None = None
    key: str | Callable[..., Any] | None = None
    unique: bool = False
    unique_for: float | None = None
    unique_key: str | Callable[..., Any] | None = None
    on_conflict: str = "return-existing"
    group: str | Callable[..., Any] | None = None
    durability: str | None = None
    resultrepr_maxsize: int = 1024
    pydantic: bool = False
    pydantic_strict: bool = False
    pydantic_context: Mapping[str, Any] | None = None
    pydantic_dump_kwargs: Mapping[str, Any] | None = None

    MaxRetriesExceededError = MaxRetriesExceededError
    OperationalError = OperationalError
    send_events: bool = True

    #: Finds the group of a call, None without the option.
    grouping: CallKey | None = None
    #: How calls are told apart, None unless the task is unique.
    uniqueness: Unique | None = None
    #: What checks the arguments of a call, None until the task is bound.
    arguments: Arguments | None = None
    #: File and qualified name of the function.
    origin: tuple[str, str] = ("", "")
    #: Whether the function is a coroutine function.
    is_async: bool = False
    #: Whether a subclass overrides a handler (``on_success``, …) or ``__call__``.
    has_handlers: bool = False
    #: Whether a subclass overrides ``__call__``.
    overrides_call: bool = False
    #: Whether calls may have another name where they are shown (``shadow_name``).
    has_shadow: bool = False
    #: The ``task_annotations`` that were applied last.
    annotated: Any = None
