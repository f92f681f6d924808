"""What a path of a small HTTP server is asked and answers. Apart from the server: a worker without one spares its imports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Response:
    """What a path answers."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """What was asked: the path without its query, the headers in lower case, the body."""

    path: str
    headers: Mapping[str, str]
    body: bytes


Handler = Callable[[Call], Response]
