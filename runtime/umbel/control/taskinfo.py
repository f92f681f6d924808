"""What is told of one message: the form of a task in the answers of workers and on the command line."""

from __future__ import annotations

from typing import Any, Final

import orjson

from umbel import message as messages
from umbel import serialization
from umbel.errors import DecodeError, UmbelError
from umbel.message import BEGUN, Message
from umbel.serialization import compression
from umbel.settings import LARGEST

TaskInfo = dict[str, Any]

#: Longest body whose arguments workers tell of, in bytes.
MOST_SHOWN: Final = 16_384


def describe(raw: bytes, queue: str) -> TaskInfo:
    """Return what a message says: id, name, arguments, where it came from, its counts.

    Args:
        raw: the message.
        queue: where it came from.

    Returns: values that JSON can carry. ``args`` and ``kwargs`` are as they travel, see `unpack`; None with the reason in
        ``error`` where they cannot be read.
    """
    return _described(raw, queue)[0]


def task_info(raw: bytes, queue: str, *, hostname: str | None = None, pid: int | None = None) -> TaskInfo:
    """Return what workers tell of a task: what `describe` does, in Celery's form. Long arguments are left out.

    Args:
        raw: the message.
        queue: where it came from.
        hostname: the worker that holds it.
        pid: the child that holds it.
    """
    info, message = _described(raw, queue, MOST_SHOWN)
    redelivered = message is not None and bool(message.lost or message.suspect or message.requeues)
    return info | {
        "type": info["name"],
        "hostname": hostname,
        "worker_pid": pid,
        "time_start": None,
        "runtime": None,
        "acknowledged": message is not None and bool(message.flags & BEGUN),
        "delivery_info": {
            "exchange": "",
            "routing_key": queue,
            "priority": info.get("priority"),
            "redelivered": redelivered,
        },
    }


def _described(raw: bytes, queue: str, most: int | None = None) -> tuple[TaskInfo, Message | None]:
    info: TaskInfo = {"id": None, "name": None, "args": None, "kwargs": None, "queue": queue}
    try:
        message = messages.decode(raw)
    except DecodeError as error:
        return info | {"error": str(error)}, None
    headers = message.headers
    info |= {
        "id": headers["id"],
        "name": headers["task"],
        "priority": message.priority,
        "retries": headers.get("retries", 0),
        "attempt": message.attempt,
        "lost": message.lost,
    }
    return info | _arguments(message, most), message


def _arguments(message: Message, most: int | None) -> dict[str, Any]:
    size = len(message.body)
    if most is not None and size > most:
        return {"error": f"the arguments are not shown: they take {size:,} bytes"}
    headers = message.headers
    content_type, body = headers.get("content_type"), message.body
    try:
        if content_type == serialization.SIGNED:
            content_type, body = _opened(headers, body)
        try:
            body = compression.decompress(headers.get("compression"), body, most or LARGEST)
        except compression.TooLarge:
            return {"error": f"the arguments are not shown: unpacked they take more than {most or LARGEST:,} bytes"}
        if content_type in (None, serialization.JSON):
            args, kwargs = orjson.loads(body)
        else:
            args, kwargs = serialization.by_content_type(content_type).decode(body)
            orjson.dumps([args, kwargs])
    except (UmbelError, TypeError, ValueError) as error:
        return {"error": f"the arguments cannot be read: {error}"}
    return {"args": args, "kwargs": kwargs}


def _opened(headers: dict[str, Any], body: bytes) -> tuple[str, bytes]:
    codec = serialization.by_content_type(serialization.SIGNED)
    assert serialization.signs(codec)
    return codec.open(headers, body)


def unpack(info: TaskInfo) -> TaskInfo:
    """Return a task's description with its arguments as Python objects: dates, decimals and the like."""
    if info.get("args") is None:
        return info
    try:
        args, kwargs = serialization.json.decode(orjson.dumps([info["args"], info["kwargs"]]))
    except (DecodeError, TypeError, ValueError):
        return info  # of a type that is not registered here: shown as it travels
    return info | {"args": args, "kwargs": kwargs}
