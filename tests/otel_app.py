"""An app whose spans go to a file, a JSON object a line, from each process by itself."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from umbel import Umbel, signals

app = Umbel("otel", result_expires=600, otel_enabled=True)


class ToFile(SpanExporter):
    """Appends each span in one write."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        fd = os.open(os.environ["SPANS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            for span in spans:
                os.write(fd, f"{json.dumps(json.loads(span.to_json(indent=None)))}\n".encode())
        finally:
            os.close(fd)
        return SpanExportResult.SUCCESS


def set_up(**_: Any) -> None:
    """Have spans of this process written."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ToFile()))
    trace.set_tracer_provider(provider)


signals.worker_process_init.connect(set_up)


@app.task
def leaf(number: int) -> int:
    with trace.get_tracer("mine").start_as_current_span("within"):
        return number


@app.task
def parent() -> None:
    leaf.delay(1)


@app.task
def breaks() -> None:
    raise LookupError("not there")


@app.task(bind=True, max_retries=1)
def again(self: Any) -> str:
    if not self.request.retries:
        raise self.retry(exc=OSError("away"), countdown=0)
    return "done"


@app.task
async def waits() -> int:
    return 1
