"""What is running here and now: the request that a task sees, the current app, and whether waiting is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar, Final

from umbel.errors import ImproperlyConfigured
from umbel.events.shown import MOST, shown

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.errors import Retry
    from umbel.message import Message
    from umbel.task import Task


#: What a task sends is kept with its result up to this number.
MOST_CHILDREN: Final = 10_000


class Request:
    """One delivery of a message, as the task sees it in ``self.request``.

    Outside of a task all fields are empty and ``called_directly`` is true.
    """

    #: ``_queue_retries`` is there only where the queue bounds the retries, so that it costs other tasks nothing.
    __slots__ = (
        "_children",
        "_message",
        "_queue_retries",
        "ahead",
        "app",
        "args",
        "hostname",
        "is_eager",
        "kwargs",
        "pending_retry",
        "queue",
        "task",
    )

    _queue_retries: int

    def __init__(
        self,
        app: Umbel | None = None,
        task: Task[..., Any] | None = None,
        message: Message | None = None,
        args: Any = (),
        kwargs: Any = None,
        hostname: str = "",
        queue: str = "",
        is_eager: bool = False,
    ) -> None:
        self.app = app
        self.task = task
        self._message = message
        self._children: list[Any] | None = None
        self.args = args
        self.kwargs = {} if kwargs is None else kwargs
        self.hostname = hostname
        self.queue = queue
        self.is_eager = is_eager
        self.pending_retry: Retry | None = None
        self.ahead = (
            0.0  #: seconds by which the broker's clock is ahead of this machine's, where something depends on it
        )

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field or a header of the message, or ``default``."""
        if self._message is not None and name in self._message.headers:
            return self._message.headers[name]
        return getattr(self, name, default)

    def __getattr__(self, name: str) -> Any:
        """Return a header of the caller's own, as Celery's requests do."""
        if not name.startswith("_") and self._message is not None:
            own = self._message.headers.get("headers")
            if own and name in own:
                return own[name]
        raise AttributeError(f"the request has no field {name!r}, and the call no header of this name")

    def limit_retries(self, most: int) -> None:
        """Bound the retries where the message does not: in place of the task's usual number."""
        self._queue_retries = most

    def most_retries(self, usual: int | None) -> int | None:
        """Return how often this message may be retried, None for no bound; ``usual`` is what its task says."""
        most: int | None = self._header("max_retries", getattr(self, "_queue_retries", usual))
        return most

    def _header(self, name: str, default: Any = None) -> Any:
        return default if self._message is None else self._message.headers.get(name, default)

    def add_child(self, form: Any) -> None:
        """Note what this task has sent, for `AsyncResult.children`: an id, or what ``as_tuple()`` of the result returns.

        No more than `MOST_CHILDREN` are kept, so that a task which sends a million others still has a result that can be read.
        """
        if self.task is None or not self.task.trail:
            return
        if self._children is None:
            self._children = []
        if len(self._children) < MOST_CHILDREN:
            self._children.append(form)

    #: What follows in a workflow is kept in Redis, not in its messages: these are Celery's names for what is not there.
    chain: ClassVar[None] = None
    chord: ClassVar[None] = None
    callbacks: ClassVar[None] = None
    errbacks: ClassVar[None] = None

    @property
    def group(self) -> str | None:
        """The id of the group that the task was sent with. The option ``group`` of calls is another matter."""
        return self._header("group_id")  # type: ignore[no-any-return]

    @property
    def group_index(self) -> int | None:
        """The task's place in its group, from 0 on."""
        return self._header("group_index")  # type: ignore[no-any-return]

    @property
    def children(self) -> list[Any]:
        """What this task has sent so far, each an id or the short form of a result."""
        return [] if self._children is None else self._children

    @property
    def message(self) -> Message | None:
        """The message itself, None when the function was called directly."""
        return self._message

    @property
    def called_directly(self) -> bool:
        """Whether the function was called like any other, not as a task."""
        return self._message is None

    @property
    def id(self) -> str | None:
        return None if self._message is None else str(self._message.headers["id"])

    correlation_id = id

    @property
    def root_id(self) -> str | None:
        """The id of the task that began it all."""
        return self._header("root_id", self.id)  # type: ignore[no-any-return]

    @property
    def parent_id(self) -> str | None:
        """The id of the task that sent this one."""
        return self._header("parent_id")  # type: ignore[no-any-return]

    @property
    def retries(self) -> int:
        """How often the task was retried so far."""
        return self._header("retries", 0)  # type: ignore[no-any-return]

    @property
    def attempt(self) -> int:
        """Deliveries before this one that were charged: retries, and deaths of workers."""
        return 0 if self._message is None else self._message.attempt

    @property
    def redelivered(self) -> bool:
        """Whether an earlier delivery of this attempt may have begun."""
        message = self._message
        return message is not None and bool(message.lost or message.suspect or message.requeues)

    @property
    def priority(self) -> int | None:
        return None if self._message is None else self._message.priority

    @property
    def delivery_info(self) -> dict[str, Any]:
        """``routing_key`` (the queue), ``priority`` and ``redelivered``."""
        return {
            "exchange": "",
            "routing_key": self.queue,
            "priority": self.priority,
            "redelivered": self.redelivered,
        }

    @property
    def expires(self) -> datetime | None:
        """When the message loses its use, None for never."""
        return self._moment("expires")

    @property
    def eta(self) -> datetime | None:
        """When the task was to begin at the earliest, None for at once."""
        return self._moment("delay")

    def _moment(self, header: str) -> datetime | None:
        after = self._header(header)
        if after is None or self._message is None:
            return None
        when = self._message.enqueued_ms / 1000 + after - self.ahead
        return datetime.fromtimestamp(when, timezone.utc)  # noqa: UP017 - cheaper

    @property
    def timelimit(self) -> tuple[float | None, float | None]:
        """The hard and the soft limit, in seconds."""
        hard, soft = self._header("timelimit", (None, None))
        return hard, soft

    @property
    def reply_to(self) -> str | None:
        return self._header("reply_to")  # type: ignore[no-any-return]

    @property
    def ignore_result(self) -> bool:
        return bool(self._header("ignore_result", False))

    @property
    def stamps(self) -> dict[str, list[Any]]:
        """The stamps of the call: each name with its values."""
        return self._header("stamps", {})  # type: ignore[no-any-return]

    @property
    def stamped_headers(self) -> list[str]:
        """The names of the stamps."""
        return list(self.stamps)

    @property
    def time_limit(self) -> float | None:
        """The hard limit of this call or of its task, in seconds."""
        return self.timelimit[0] or (None if self.task is None else self.task.time_limit)

    @property
    def soft_time_limit(self) -> float | None:
        """The soft limit of this call or of its task, in seconds."""
        return self.timelimit[1] or (None if self.task is None else self.task.soft_time_limit)

    @property
    def shadow(self) -> str | None:
        """The name by which this call is shown, None for that of its task."""
        return self._header("shadow")  # type: ignore[no-any-return]

    @property
    def argsrepr(self) -> str:
        """The positional arguments as text, or what the caller gave in their place."""
        return self._header("argsrepr") or shown(tuple(self.args), self._longest)

    @property
    def kwargsrepr(self) -> str:
        """The keyword arguments as text, or what the caller gave in their place."""
        return self._header("kwargsrepr") or shown(self.kwargs, self._longest)

    @property
    def _longest(self) -> int:
        return MOST if self.task is None else self.task.resultrepr_maxsize

    @property
    def properties(self) -> dict[str, Any]:
        """What Celery has from the broker: ids, priority, where it was delivered."""
        return {
            "correlation_id": self.id,
            "reply_to": self.reply_to,
            "priority": self.priority,
            "delivery_info": self.delivery_info,
        }

    @property
    def utc(self) -> bool:
        """Always true: times travel in UTC."""
        return True

    def as_execution_options(self) -> dict[str, Any]:
        """Return options by which ``apply_async`` sends a task like this one, under the same id."""
        options = {
            "task_id": self.id,
            "root_id": self.root_id,
            "parent_id": self.parent_id,
            "queue": self.queue or None,
            "priority": self.priority,
            "expires": self.expires,
            "time_limit": self.timelimit[0],
            "soft_time_limit": self.timelimit[1],
            "shadow": self.shadow,
            "headers": self.headers,
            "group": self._header("group"),
        }
        return {name: value for name, value in options.items() if value}

    @property
    def headers(self) -> dict[str, Any]:
        """The caller's own headers."""
        return self._header("headers", {})  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        name = self.task.name if self.task is not None else None
        return f"<Request: {name}[{self.id}] retries={self.retries}>"


_request: ContextVar[Request | None] = ContextVar("umbel_request", default=None)
_may_wait: ContextVar[bool | None] = ContextVar("umbel_may_wait", default=None)
_default_app: list[Umbel] = []

current_request = _request.get
enter = _request.set
leave = _request.reset


def set_default_app(app: Umbel) -> None:
    """Make an app the current one of this process, wherever no task of another app runs."""
    _default_app[:] = [app]


def current_app() -> Umbel:
    """Return the app of the running task, else the one created last.

    Raises:
        ImproperlyConfigured: there is none yet.
    """
    request = _request.get()
    if request is not None and request.app is not None:
        return request.app
    if not _default_app:
        raise ImproperlyConfigured(
            "there is no app yet: create one with Umbel('name', broker='redis://...'), or import the module that does, "
            "before a shared task is called"
        )
    return _default_app[0]


def current_task() -> Task[..., Any] | None:
    """Return the task that runs here, or None."""
    request = _request.get()
    return None if request is None else request.task


@contextmanager
def allow_join_result() -> Iterator[None]:
    """Let tasks wait for other tasks in this block. It can deadlock a pool whose every slot waits."""
    token = _may_wait.set(True)
    try:
        yield
    finally:
        _may_wait.reset(token)


@contextmanager
def denied_join_result() -> Iterator[None]:
    """Forbid waiting again inside of an `allow_join_result`, and outside of tasks, too."""
    token = _may_wait.set(False)
    try:
        yield
    finally:
        _may_wait.reset(token)


def assert_will_not_block() -> None:
    """Refuse to wait for a result inside of a task, or where `denied_join_result` forbids it.

    Raises:
        RuntimeError: with what to do instead.
    """
    request, told = _request.get(), _may_wait.get()
    if told or (told is None and (request is None or request.called_directly or request.is_eager)):
        return
    raise RuntimeError(
        "a task must not wait for the result of another task: it holds a slot that the other one may need. Let the other task "
        "go on where this one ends (call it last, without get()), or wait all the same with get(disable_sync_subtasks=False) "
        "or inside of umbel.allow_join_result()"
    )
