"""The hooks of an app's middleware, found once: which of them there are, in which order, and what calls them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from umbel import leaving
from umbel.errors import OperationalError
from umbel.interrupting import Condemned
from umbel.middleware.base import Call, Middleware

if TYPE_CHECKING:
    from umbel.config import Settings
    from umbel.context import Request
    from umbel.task import Task
    from umbel.verdict import Execution

T = TypeVar("T")
log = logging.getLogger("umbel.middleware")


class Hooks:
    """See the module. Valid as long as ``serial`` is that of the app's settings.

    Args:
        serial: of the app's settings.
        chain: the middleware, the outermost first.
        builtin: Umbel's own, within it.
    """

    __slots__ = (
        "_ended",
        "_execute",
        "_headers",
        "_receive",
        "_result",
        "_retry",
        "message",
        "publish",
        "runs",
        "serial",
    )

    def __init__(self, serial: int, chain: Sequence[Middleware], builtin: Sequence[Middleware] = ()) -> None:
        self.serial = serial
        self.publish: tuple[Callable[[Call], AbstractContextManager[object] | None], ...] = _of(chain, "publish")
        self.message: tuple[Callable[[dict[str, Any]], None], ...] = _of(chain, "message")
        self._receive: tuple[Callable[[Request], None], ...] = _of(chain, "receive")
        self._execute: tuple[Callable[[Request], AbstractContextManager[object] | None], ...] = _of(chain, "execute")
        # What surrounds a task on the outside sees its end last.
        self._result: tuple[Callable[[Request, Any], Any], ...] = _of(chain, "result")[::-1]
        self._retry: tuple[Callable[[Request, BaseException], BaseException], ...] = _of([*chain, *builtin], "retry")[
            ::-1
        ]
        self._ended: tuple[Callable[[Request, Execution], None], ...] = _of(chain, "ended")[::-1]
        self._headers: tuple[Callable[[Any, Any], Mapping[str, Any]], ...] = _of([*chain, *builtin], "headers")
        #: Whether a run has to call any of them before it has failed.
        self.runs = bool(self._receive or self._execute or self._result or self._ended)

    def headers(self, task: Task[..., Any] | None, conf: Settings) -> dict[str, Any]:
        """Return the headers that all messages of a task carry."""
        found: dict[str, Any] = {}
        for headers in self._headers:
            found.update(headers(task, conf))
        return found

    def send(self, call: Call, send: Callable[[Call], T]) -> T:
        """Send a call within what surrounds that."""
        with ExitStack() as around:
            for publish in self.publish:
                manager = publish(call)
                if manager is not None:
                    around.enter_context(manager)
            return send(call)
        raise OperationalError(f"{call.name}: a middleware has swallowed the error of a call that was not sent")

    def run(
        self,
        request: Request,
        on_started: Callable[[Request], object] | None,
        on_ended: Callable[[], object] | None,
        call: Callable[[], Any],
    ) -> Any:
        """Run a task within what surrounds it, and return its value.

        Args:
            request: that it runs for.
            on_started, on_ended: see `umbel.execution.run`.
            call: calls the task.
        """
        for receive in self._receive:
            receive(request)
        value: Any = None
        condemned: Condemned | None = None
        with ExitStack() as around:
            try:
                try:
                    if on_started is not None:
                        on_started(request)
                    self._enter(request, around)
                    value = call()
                finally:
                    if on_ended is not None:
                        on_ended()
            except Condemned as sentence:
                condemned = sentence
                raise
        if condemned is not None:  # nobody may swallow that
            raise condemned
        return self._returned(request, value)

    async def run_async(
        self,
        request: Request,
        on_started: Callable[[Request], object],
        on_ended: Callable[[], object],
        call: Callable[[], Awaitable[Any]],
    ) -> Any:
        """As `run`, for a coroutine."""
        for receive in self._receive:
            receive(request)
        value: Any = None
        condemned: Condemned | None = None
        with ExitStack() as around:
            try:
                try:
                    on_started(request)
                    self._enter(request, around)
                    value = await call()
                finally:
                    on_ended()
            except Condemned as sentence:
                condemned = sentence
                raise
        if condemned is not None:
            raise condemned
        return self._returned(request, value)

    def _enter(self, request: Request, around: ExitStack) -> None:
        for execute in self._execute:
            manager = execute(request)
            if manager is not None:
                around.enter_context(manager)

    def _returned(self, request: Request, value: Any) -> Any:
        for result in self._result:
            value = result(request, value)
        return value

    def raised(self, request: Request, error: BaseException) -> BaseException:
        """Return what is to be done about what a run has raised."""
        for retry in self._retry:
            try:
                error = retry(request, error)
            except Exception as other:
                error = other
        return error

    def tell(self, request: Request, end: Execution) -> None:
        """Tell how a run has ended."""
        for ended in self._ended:
            try:
                ended(request, end)
            except SystemExit as error:
                if not leaving.ask(error):
                    raise
            except Exception:
                log.exception("middleware.failed", extra={"hook": repr(ended), "id": request.id})


def _of(chain: Sequence[Middleware], hook: str) -> tuple[Any, ...]:
    """Return the hooks of one name that are overridden."""
    return tuple(getattr(one, hook) for one in chain if getattr(type(one), hook) is not getattr(Middleware, hook))
