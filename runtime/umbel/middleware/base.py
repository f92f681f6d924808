"""The interface of a middleware: hooks around tasks. What is not overridden costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.config import Settings
    from umbel.context import Request
    from umbel.message import Message
    from umbel.task import Task
    from umbel.verdict import Execution


@dataclass(slots=True)
class Call:
    """A call on its way to its queue. What a middleware changes here is what is sent.

    Args:
        app: that sends.
        task: None where it is not known here, but to the workers.
        args, kwargs: of the call; to be looked at: they are encoded already.
        message: with its headers; those of the user are under ``headers``.
        queue: where it goes.
        delay: seconds until it may begin.
        options: of the call, as they were given.
    """

    app: Umbel
    task: Task[..., Any] | None
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    message: Message
    queue: str
    delay: float
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of the task."""
        return str(self.message.headers["task"])

    @property
    def id(self) -> str:
        """Of the call."""
        return str(self.message.headers["id"])

    @property
    def headers(self) -> dict[str, Any]:
        """The user's headers: the task finds them in ``self.request.headers``. They carry text, numbers, lists and dicts."""
        own: dict[str, Any] = self.message.headers.setdefault("headers", {})
        return own


#: A middleware, by its name or its class.
Which = str | type[Any]


@dataclass(frozen=True, slots=True)
class Option:
    """An option of tasks that a middleware owns.

    Args:
        fits: tells whether a value does.
        default: what tasks have that do not say.
        takes: what is expected, for the error.
    """

    fits: Callable[[Any], bool]
    default: Any = None
    takes: str = "another value"


class Middleware:
    """Takes part in the life of tasks. Subclass it, override the hooks that are needed, and ``app.add_middleware(…)`` it.

    The hooks may be called in several threads at once. What is not overridden costs nothing.
    """

    #: By which others name it.
    name: str = ""
    #: Those that it surrounds, and those by which it is surrounded: names or classes.
    before: Which | Collection[Which] = ()
    after: Which | Collection[Which] = ()
    #: The options of tasks that it owns.
    options: ClassVar[Mapping[str, Option]] = {}

    def __init_subclass__(cls) -> None:
        """Name it after its class."""
        if "name" not in vars(cls):
            cls.name = cls.__name__

    def option(self, task: Task[..., Any] | None, name: str) -> Any:
        """Return an option of a task, its default where the task does not say."""
        return getattr(task, name, self.options[name].default)

    def headers(self, task: Task[..., Any] | None, conf: Settings) -> Mapping[str, Any]:
        """Return headers that all messages of a task carry. Called once per task and change of the settings, not per call."""
        return {}

    def message(self, headers: dict[str, Any]) -> None:
        """Add headers to one message that is made here, also to one that a workflow sends later, from elsewhere."""

    def publish(self, call: Call) -> AbstractContextManager[object] | None:
        """Surround the sending of a call, in the process that sends: return a context manager, or None.

        It may change the call. What it raises reaches who sends, and nothing is sent.
        """
        return None

    def receive(self, request: Request) -> None:
        """See a task that a worker has taken up, before it runs, and before its time counts.

        It may raise `umbel.Ignore`, `umbel.Reject`, or `umbel.Retry`; any other exception is the task's failure.
        """

    def execute(self, request: Request) -> AbstractContextManager[object] | None:
        """Surround the run of a task: return a context manager, or None.

        It sees what the task raises, and may raise something else. Where it swallows an exception, the task has returned None.
        The task's time limits hold for it too.
        """
        return None

    def result(self, request: Request, value: Any) -> Any:
        """Return what is to be stored in place of what the task returned."""
        return value

    def retry(self, request: Request, error: BaseException) -> BaseException:
        """Return what is to be done about what a run has raised: the exception, another one, or a `umbel.Retry` for another run.

        A task that has called ``self.retry`` comes here with its `umbel.Retry`, whose ``when`` may be changed.
        """
        return error

    def ended(self, request: Request, end: Execution) -> None:
        """Learn how a run has ended. What is raised here is logged, and changes nothing any more."""
