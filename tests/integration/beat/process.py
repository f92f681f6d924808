"""beat as a real process, and what it leaves in Redis."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import redis
from tests.ports import free_port
from tests.redis_server import RedisServer

from umbel import message as messages
from umbel.message import Message

T = TypeVar("T")


def eventually(look: Callable[[], T], within: float = 30.0, what: str = "") -> T:
    """Return what ``look`` returns once it is true, and finds all that it looks up; fail after so many seconds."""
    deadline = time.monotonic() + within
    last: object = None
    while True:
        try:
            last = found = look()
            if found:
                return found
        except LookupError as error:  # a part of the status that is not there yet, or not while Redis is away
            last = error
        assert time.monotonic() < deadline, f"not within {within:g} s: {what or look.__name__}; last: {last!r}"
        time.sleep(0.05)


class BeatProcess:
    """``umbel beat``, started as a user does."""

    def __init__(
        self,
        server: RedisServer,
        prefix: str,
        log: Path,
        *arguments: str,
        app: str | None = None,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.log = log
        command = [sys.executable, "-m", "umbel.cli.main", *(["-A", app] if app else []), "beat"]
        command += ["--port", str(self.port), "--lock-ttl", "2", *arguments]
        environ = {**os.environ, "UMBEL_BROKER_URL": server.url, "UMBEL_KEY_PREFIX": prefix, **(env or {})}
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=environ, cwd=cwd)

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (lower case) and body of a GET; 0 while nobody listens."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers or {})
        return self._open(request)

    def post(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of a POST."""
        return self._open(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, method="POST"))

    def _open(self, request: urllib.request.Request) -> tuple[int, dict[str, str], bytes]:
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()
        except (urllib.error.URLError, OSError):
            return 0, {}, b""

    def status(self) -> dict[str, Any]:
        """Return the body of ``/v1/status``; empty while nobody listens."""
        code, _, body = self.get("/v1/status")
        return json.loads(body) if code == 200 else {}

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.wait(10)

    def end(self) -> int:
        """End it with SIGTERM, once it has come up; return the exit code."""
        eventually(lambda: self.process.poll() is not None or self.get("/livez")[0], 60, "beat has come up, or ended")
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def text(self) -> str:
        """Return what it logged."""
        return self.log.read_text()


class Seen:
    """The messages that wait in a queue."""

    def __init__(self, client: redis.Redis, prefix: str, queue: str) -> None:
        self.client, self.prefix, self.queue = client, prefix, queue

    def messages(self) -> list[Message]:
        """Return all ready messages."""
        raw: list[bytes] = []
        for priority in range(10):
            raw += self.client.lrange(f"{self.prefix}:{{{self.queue}}}:r:{priority}", 0, -1)  # type: ignore[arg-type]
        return [messages.decode(item) for item in raw]

    def runs(self) -> list[str]:
        """Return the run id of each ready message."""
        return [message.headers["run"] for message in self.messages()]

    def of(self, uid: str) -> list[Message]:
        """Return the ready messages of one schedule."""
        return [message for message in self.messages() if message.headers["schedule"] == uid]
