"""The Lua scripts: each a file beside this one, whose head names its KEYS, ARGV and answer.

A line ``-- include NAME`` stands for the text of ``lua/parts/NAME.lua``: functions that several scripts share.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import hiredis

from umbel.digests import sha1
from umbel.redis.connection import Argument, ConnectionBroken, RedisConnection, ServerRefused, pack, seconds_left

_INCLUDE: Final = re.compile(rb"^ *-- include (\w+)$", re.M)
#: Not by importlib.resources, which brings archives and temporary files into each process of a worker.
_FOLDER: Final = Path(__file__).with_name("lua")


def _read(name: str) -> bytes:
    """Return the text of a script, with what it includes."""

    def part(found: re.Match[bytes]) -> bytes:
        return _FOLDER.joinpath("parts", f"{found[1].decode()}.lua").read_bytes()

    return _INCLUDE.sub(part, _FOLDER.joinpath(f"{name}.lua").read_bytes())


class Script:
    """One script of the folder ``lua``.

    Args:
        name: of the file, without its ending.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = _read(name)
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode()

    def pack(self, keys: Sequence[Argument], arguments: Sequence[Argument]) -> bytes:
        """Return the EVALSHA command as bytes."""
        return pack(b"EVALSHA", self.sha, len(keys), *keys, *arguments)

    def run(self, connection: RedisConnection, key: str | bytes, packed: bytes, timeout: float) -> Any:
        """Send ``packed`` to where ``key`` is and return the answer; load the script there and send again if it is not known.

        Raises:
            ServerRefused, ConnectionBroken: see `RedisConnection.call`.
        """
        until = time.monotonic() + timeout
        answer = connection.ask(key, packed, timeout)
        while isinstance(answer, hiredis.ReplyError):
            refused = ServerRefused(str(answer))
            # Again and again: scripts may be flushed, or the server replaced, just after it was told this one.
            if refused.code != "NOSCRIPT" or time.monotonic() >= until:
                raise refused
            self._load(connection, seconds_left(until, timeout))
            answer = connection.ask(key, packed, seconds_left(until, timeout))
        return answer

    def _load(self, connection: RedisConnection, timeout: float) -> None:
        """Tell the server the script. If the connection breaks over that, the script did not run."""
        try:
            connection.load(self.text, timeout)
        except ConnectionBroken as error:
            raise ConnectionBroken(error, sent=False) from error

    def run_many(
        self,
        connection: RedisConnection,
        calls: Sequence[tuple[Sequence[str], Sequence[Argument]]],
        timeout: float = 5.0,
    ) -> list[Any]:
        """Run the script several times at once, each with keys and arguments; return the answers.

        Raises:
            ServerRefused, ConnectionBroken: see `RedisConnection.call`.
        """
        asked = [(keys[0], self.pack(keys, arguments)) for keys, arguments in calls]
        answers = connection.ask_many(asked, timeout)
        for index, answer in enumerate(answers):
            if isinstance(answer, hiredis.ReplyError):
                if not str(answer).startswith("NOSCRIPT"):
                    raise ServerRefused(str(answer))
                answers[index] = self.run(connection, *asked[index], timeout)
        return answers

    def __call__(
        self,
        connection: RedisConnection,
        keys: Sequence[str],
        arguments: Sequence[Argument] = (),
        timeout: float = 5.0,
    ) -> Any:
        """Run the script and return its answer.

        Raises:
            ServerRefused, ConnectionBroken: see `RedisConnection.call`.
        """
        return self.run(connection, keys[0], self.pack(keys, arguments), timeout)


publish = Script("publish")
cycle = Script("cycle")
admit = Script("admit")
register = Script("register")
enter = Script("enter")
consume = Script("consume")
beat = Script("beat")
bury_begin = Script("bury_begin")
bury = Script("bury")
bury_end = Script("bury_end")
store = Script("store")
store_apart = Script("store_apart")
forget_apart = Script("forget_apart")
configure = Script("configure")
promote = Script("promote")
purge = Script("purge")
purge_aside = Script("purge_aside")
revoke = Script("revoke")
wake = Script("wake")
watch = Script("watch")
dead_retry = Script("dead_retry")
dead_trim = Script("dead_trim")
forward = Script("forward")
note_death = Script("note_death")
sentence = Script("sentence")
begin = Script("begin")
workflow_create = Script("workflow_create")
workflow_end = Script("workflow_end")
workflow_close = Script("workflow_close")
workflow_grow = Script("workflow_grow")
workflow_revoke = Script("workflow_revoke")
publish_once = Script("publish_once")
note_events = Script("note_events")
own_watch = Script("own_watch")
own_begin = Script("own_begin")
own_take = Script("own_take")
own_end = Script("own_end")
