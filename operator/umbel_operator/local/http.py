"""Ask a process on this machine over HTTP: one request, one connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    etag: str | None
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body as an object; empty where it is none."""
        try:
            body = json.loads(self.body)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}


async def ask(
    port: int, path: str, *, method: str = "GET", etag: str | None = None, body: Any = None, patience: float = 5.0
) -> Answer:
    """Send one request to the loopback interface.

    patience: seconds for all of it.
    Raises `OSError` where no answer comes.
    """
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"Host": f"127.0.0.1:{port}", "Connection": "close", "Content-Length": str(len(data))}
    if data:
        headers["Content-Type"] = "application/json"
    if etag is not None:
        headers["If-None-Match"] = etag
    async with asyncio.timeout(patience):
        return await _exchange(port, _head(method, path, headers) + data)


def _head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


async def _exchange(port: int, request: bytes) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        answer = await reader.read(-1)
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split()
    if len(parts) < 2 or not parts[1].isdecimal():
        raise OSError(f"port {port} does not speak HTTP")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(parts[1]), fields.get("etag"), body)
