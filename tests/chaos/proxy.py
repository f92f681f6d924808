"""A proxy in front of Redis that loses answers: it knows where a command ends, and so can cut a connection between a
command and its answer.

That is the moment that matters: the server has run a script, and whoever sent it cannot know.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import hiredis


class Act(Enum):
    """What the proxy does with one command."""

    PASS = auto()
    CUT_BEFORE = auto()  #: the server never sees it; the connection is cut
    CUT_AFTER = auto()  #: the server runs it; the connection is cut in place of the answer


Rule = Callable[[list[bytes]], Act]


def each(nth: int, name: bytes, act: Act = Act.CUT_AFTER) -> Rule:
    """Return a rule that cuts at every ``nth`` command of a name, counted over all connections."""
    seen = 0

    def decide(command: list[bytes]) -> Act:
        nonlocal seen
        if command[0].upper() != name:
            return Act.PASS
        seen += 1
        return act if seen % nth == 0 else Act.PASS

    return decide


def first(count: int, name: bytes, act: Act = Act.CUT_AFTER) -> Rule:
    """Return a rule that cuts at the first ``count`` commands of a name."""
    seen = 0

    def decide(command: list[bytes]) -> Act:
        nonlocal seen
        if command[0].upper() != name or seen >= count:
            return Act.PASS
        seen += 1
        return act

    return decide


class ChaosProxy:
    """A TCP proxy on a port of its own, in a thread of its own.

    Args:
        port: of the Redis behind it, on the loopback interface.
    """

    def __init__(self, port: int) -> None:
        self.rule: Rule = lambda command: Act.PASS
        #: Seconds by which each answer is late.
        self.delay = 0.0
        #: How many commands passed, and how many connections were cut, by the name of the command.
        self.passed: Counter[bytes] = Counter()
        self.cut: Counter[bytes] = Counter()
        self.port = 0
        self._target = port
        self._links: set[_Link] = set()
        self._refusing = False
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="chaos-proxy", daemon=True)

    @property
    def url(self) -> str:
        """The address of the proxy, in place of the server's."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Listen; ``port`` and ``url`` are known from then on."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10.0)

    def stop(self) -> None:
        """Cut all connections and end the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10.0)
        self._loop.close()

    def refuse(self) -> None:
        """Cut all connections, and every new one at once, until `accept`."""
        self._refusing = True
        self.cut_all()

    def accept(self) -> None:
        """Let new connections through again."""
        self._refusing = False

    def point_at(self, port: int) -> None:
        """Lead new connections to another server; those that are open stay."""
        self._target = port

    def cut_all(self) -> None:
        """Cut all connections that are open now."""

        async def cut() -> None:
            for link in list(self._links):
                link.cut()

        asyncio.run_coroutine_threadsafe(cut(), self._loop).result(10.0)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._closing = True
        # No more are accepted; the server is closed later, since one that was accepted and comes to a closed server is forgotten.
        for listening in self._server.sockets:
            self._loop.remove_reader(listening.fileno())
        for link in list(self._links):
            link.cut()
        # Those too that are just connecting, to the server or to this proxy.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        self._server.close()
        # A transport that was aborted says good-bye to its socket in the next turn of the loop.
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing or self._closing:
            writer.transport.abort()
            return
        try:
            to_server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, (reader, writer), to_server)
        if self._closing or self._refusing:  # by now
            link.cut()
            return
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One client's connection, and the one to the server that belongs to it."""

    def __init__(self, proxy: ChaosProxy, client: Stream, server: Stream) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._sent = 0  # commands that the server got
        self._answered = 0  # answers that it gave
        self._cut_at: int | None = None  # the answer in place of which the connection is cut

    async def run(self) -> None:
        """Pass on in both directions until one side is gone."""
        directions = [asyncio.create_task(self._commands()), asyncio.create_task(self._answers())]
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        self.cut()
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)

    def cut(self) -> None:
        """Cut both connections, without a good-bye."""
        for _, writer in (self._client, self._server):
            writer.transport.abort()

    async def _commands(self) -> None:
        parser = hiredis.Reader(notEnoughData=_MORE)
        while data := await self._client[0].read(65536):
            parser.feed(data)
            while (command := parser.gets()) is not _MORE:
                if not self._pass_on(command):
                    return
            await self._server[1].drain()
        self._server[1].write_eof()
        await asyncio.sleep(3600)  # until the server, too, has said its last

    def _pass_on(self, command: Any) -> bool:
        act = self._proxy.rule(command) if self._cut_at is None else Act.PASS
        name = command[0].upper()
        self._proxy.passed[name] += act is Act.PASS
        self._proxy.cut[name] += act is not Act.PASS
        if act is Act.CUT_BEFORE:
            return False
        self._sent += 1
        if act is Act.CUT_AFTER:
            self._cut_at = self._sent
        self._server[1].write(hiredis.pack_command(tuple(command)))  # type: ignore[arg-type]
        return True

    async def _answers(self) -> None:
        parser = hiredis.Reader(notEnoughData=_MORE)
        while data := await self._server[0].read(65536):
            parser.feed(data)
            while parser.gets() is not _MORE:
                self._answered += 1
            if self._cut_at is not None:
                if self._answered >= self._cut_at:
                    return
                continue
            if self._proxy.delay:
                await asyncio.sleep(self._proxy.delay)
            self._client[1].write(data)
            await self._client[1].drain()


_MORE = object()
