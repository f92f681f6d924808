"""The zygote: imports the app once, freezes what the collector need not look at, and forks the children.

It has no thread and talks to nobody but the supervisor. A child is forked twice: the process in between ends at once, so
that the child becomes the supervisor's, which alone learns how it ends. Where importing the app leaves threads behind, a
fork would copy locks that nobody holds; then the children are started anew and import the app themselves.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import traceback
from dataclasses import asdict
from typing import Any, NoReturn

import orjson

from umbel import signals
from umbel.worker import linux
from umbel.worker.about import About
from umbel.worker.instance import Instance
from umbel.worker.link import Link
from umbel.worker.loading import deaf_to_terminal, describe, load
from umbel.worker.options import WorkerOptions
from umbel.worker.slots import Slots
from umbel.worker.start import start_child

#: What is started anew, by the order.
_PROGRAMS = {"spawn": "umbel.worker.start", "command": "umbel.worker.aside", "steward": "umbel.worker.steward"}


def main(options: WorkerOptions, link: Link, slots: Slots, about: About, supervisor: int) -> NoReturn:
    """Be the zygote until the supervisor goes. Never returns."""
    linux.die_with_parent(supervisor)
    try:
        deaf_to_terminal()
        app = load(options, link)
        if app is None:
            os._exit(1)
        about.write(app)
        threads = linux.thread_count()
        link.send({"what": "hello", "threads": threads, **describe(app)})
        gc.collect()
        linux.give_back_memory()
        gc.freeze()
        while True:
            message, fd = link.receive()
            if message is None:
                os._exit(0)
            if message["what"] in ("spawn", "command", "steward") and fd is not None:
                if message["what"] == "spawn":
                    signals.worker_before_create_process.send(Instance.of(app, options))
                if message["anew"]:
                    _execute(options, message, fd, slots)
                else:
                    _fork(app, options, message, fd, slots, supervisor, link)
                os.close(fd)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _fork(
    app: Any, options: WorkerOptions, message: dict[str, Any], fd: int, slots: Slots, supervisor: int, own: Link
) -> None:
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    if os.fork():
        os._exit(0)
    linux.die_with_parent(supervisor)
    try:
        own.close()
        if message["what"] == "command":
            from umbel.worker.aside import carry_out

            carry_out(app, message, fd)
        elif message["what"] == "steward":
            from umbel.worker.steward import serve

            serve(Instance.of(app, options), fd)
        else:
            start_child(app, options, message, fd, slots)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _execute(options: WorkerOptions, message: dict[str, Any], fd: int, slots: Slots) -> None:
    """Start a child, or a command, as a new program that imports the app itself."""
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    if os.fork():
        os._exit(0)
    os.set_inheritable(fd, True)
    os.set_inheritable(slots.fd, True)
    handed = orjson.dumps({**message, "options": asdict(options), "slots": slots.count, "slots_fd": slots.fd, "fd": fd})
    module = _PROGRAMS[message["what"]]
    os.execv(sys.executable, [sys.executable, "-m", module, handed.decode()])


def _main() -> None:
    """Be a zygote that was begun anew, as a program."""
    from umbel.logs import setup_logging

    handed = orjson.loads(sys.argv[1])
    options = WorkerOptions.from_json(handed["options"])
    setup_logging(options.loglevel)
    link = Link(socket.socket(fileno=handed["fd"]))
    main(options, link, Slots(handed["slots"], handed["slots_fd"]), About(handed["about_fd"]), handed["supervisor"])


if __name__ == "__main__":
    _main()
