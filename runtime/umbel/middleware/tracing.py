"""Traces by OpenTelemetry: a span for each send and for each run, joined by W3C headers.

Only `opentelemetry-api` is needed here (``pip install umbel[otel]``); where spans go is said by the SDK of the app. Names and
attributes are those of the semantic conventions for messaging.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final

from umbel.context import Request
from umbel.errors import Ignore, ImproperlyConfigured, Reject, Retry
from umbel.middleware.base import Call, Middleware

if TYPE_CHECKING:
    pass

#: The header of a message that carries the trace: ``traceparent``, ``tracestate``, ``baggage``.
HEADER: Final = "trace"
_SYSTEM: Final = "umbel"


class Tracing(Middleware):
    """See the module.

    Raises:
        ImproperlyConfigured: OpenTelemetry is not installed.
    """

    def __init__(self) -> None:
        try:
            from opentelemetry import propagate, trace
        except ImportError as error:
            raise ImproperlyConfigured(
                "otel_enabled needs OpenTelemetry, which is not installed: pip install 'umbel[otel]'"
            ) from error
        self._propagate = propagate
        self._trace = trace
        self._host = socket.gethostname()

    @property
    def _tracer(self) -> Any:
        # Asked for anew: the app may set its provider after this was made, in each process of its own.
        return self._trace.get_tracer("umbel")

    def message(self, headers: dict[str, Any]) -> None:
        """Write the trace that is open here into a message, also where a worker will send it, as the next step of a workflow."""
        carrier: dict[str, str] = {}
        self._propagate.inject(carrier)
        if carrier:
            headers[HEADER] = carrier

    def publish(self, call: Call) -> AbstractContextManager[None]:
        """Open a span for a send, and write it into the message."""
        return self._sending(call)

    @contextmanager
    def _sending(self, call: Call) -> Iterator[None]:
        attributes = _attributes("send", call.queue, call.id, call.name)
        attributes["messaging.message.body.size"] = len(call.message.body)
        kind = self._trace.SpanKind.PRODUCER
        with self._tracer.start_as_current_span(f"send {call.queue}", kind=kind, attributes=attributes):
            self.message(call.message.headers)
            yield

    def execute(self, request: Request) -> AbstractContextManager[None]:
        """Open a span for a run, below that of the send."""
        return self._processing(request)

    @contextmanager
    def _processing(self, request: Request) -> Iterator[None]:
        trace = self._trace
        carrier = request.get(HEADER)
        parent = self._propagate.extract(carrier) if isinstance(carrier, dict) else None
        task = request.task.name if request.task is not None else "?"
        attributes = _attributes("process", request.queue, request.id or "", task)
        attributes |= {"umbel.task.retries": request.retries, "messaging.client.id": request.hostname or self._host}
        if request.message is not None:
            attributes["messaging.message.body.size"] = len(request.message.body)
        with self._tracer.start_as_current_span(
            f"process {request.queue}",
            context=parent,
            kind=trace.SpanKind.CONSUMER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except (Ignore, Reject, Retry) as end:
                span.set_attribute("umbel.task.end", type(end).__name__.lower())
                raise
            except BaseException as error:
                span.record_exception(error)
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(trace.Status(trace.StatusCode.ERROR, str(error)))
                raise


def _attributes(operation: str, queue: str, task_id: str, task: str) -> dict[str, Any]:
    return {
        "messaging.system": _SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        "messaging.message.id": task_id,
        "umbel.task.name": task,
    }
