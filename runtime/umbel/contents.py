"""Whether an app's settings about content types fit together, looked at when a worker starts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from umbel import bodies, serialization
from umbel.errors import ImproperlyConfigured
from umbel.serialization import compression

if TYPE_CHECKING:
    from umbel.config import Settings

log = logging.getLogger("umbel.worker")


def check(conf: Settings) -> None:
    """Refuse settings by which a worker could not run its own app's tasks; warn of pickle.

    Raises:
        ImproperlyConfigured: with what to change.
    """
    types = bodies.accepted(conf)
    codec = serialization.by_name(conf.task_serializer)
    if codec.content_type not in types:
        raise ImproperlyConfigured(
            f"task_serializer is {conf.task_serializer!r}, and accept_content={list(conf.accept_content)!r} does not list it: "
            "workers would refuse the app's own tasks; add it to accept_content"
        )
    serialization.by_name(conf.result_serializer)
    for method in (conf.task_compression, conf.result_compression):
        if method is not None:
            compression.canonical(method)
    if serialization.PICKLE in types:
        log.warning(
            "worker.accepts_pickle",
            extra={
                "why": "whoever can write to the broker can run any code in this worker",
                "remedy": "take 'pickle' out of accept_content, or sign messages with app.setup_security()",
            },
        )
