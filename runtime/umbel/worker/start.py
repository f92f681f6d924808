"""The first steps of a child: its own signals, connections and owner, then work. Also the program of a child started anew."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import orjson

from umbel import leaving, signals
from umbel.broker.base import Broker, OwnerInfo
from umbel.ids import machine_id, new_owner_id
from umbel.worker import forks, linux
from umbel.worker.child import Child
from umbel.worker.desk import Desk
from umbel.worker.figures import Figures
from umbel.worker.link import Link
from umbel.worker.making import make_runner
from umbel.worker.options import WorkerOptions
from umbel.worker.reporting import Reporting
from umbel.worker.retirement import Bounds, Retirement
from umbel.worker.slots import Slots
from umbel.worker.softlimit import SoftLimit
from umbel.worker.standing import Standing

if TYPE_CHECKING:
    from umbel.worker.crew import Crew
    from umbel.worker.loop import Loop
    from umbel.worker.runner import Runner
    from umbel.worker.threads import Threads

#: How long a thread may keep the interpreter to itself, in seconds: the hand-over between a child's two threads.
SWITCH_INTERVAL = 0.0005


def start_child(app: Any, options: WorkerOptions, message: dict[str, Any], fd: int, slots: Slots) -> None:
    """Run a child in this process until it is told to end.

    Args:
        message: the supervisor's order: index, hostname, worker, queues.
        fd: this end of the link to the supervisor.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    signal.set_wakeup_fd(-1)
    link = Link(socket.socket(fileno=os.dup(fd)))
    link.send({"what": "hello", "pid": os.getpid()})
    forks.watch()
    slots.lanes = message["lanes"]
    standing = Standing(message["standing"])

    def new_owner() -> OwnerInfo:
        return OwnerInfo(
            new_owner_id(),
            standing.names(),
            worker=message["worker"],
            hostname=message["hostname"],
            pid=os.getpid(),
            machine=machine_id(),
            pool=os.environ.get("UMBEL_POOL", ""),
            pod_uid=os.environ.get("UMBEL_POD_UID", ""),
            slots=slots.lanes,
        )

    def announce(owner: str) -> None:
        link.send({"what": "owner", "id": owner})

    def entered() -> None:
        link.send({"what": "entered"})

    broker = app.broker
    figures = Figures(link, app.tasks)
    desk = Desk(broker, standing.names(), new_owner, announce, figures.cycled, entered)
    runner = make_runner(app, message["hostname"])
    runner.revoked, runner.counted = desk.revoked, figures.ended
    runner.standing, runner.defaults = standing, desk.defaults
    reporting = Reporting(app, runner, standing, message["hostname"])
    figures.lost = reporting.lost
    bounds = Bounds(*message["bounds"])
    retirement = Retirement(bounds) if bounds else None
    child = make_child(
        message["executor"],
        message["index"],
        desk,
        runner,
        broker,
        standing,
        slots,
        link,
        retirement,
        options.prefetch,
    )
    child.send_figures = figures.send
    leaving.pass_on_to(child.leave)
    app.child_started()
    _serve(child, figures, reporting)


def _serve(child: Child | Crew, figures: Figures, reporting: Reporting) -> None:
    """Run a child to its end, between the signals that tell of it, and leave nothing unwritten."""
    signals.worker_process_init.send()
    try:
        child.run()
        signals.worker_process_shutdown.send(pid=os.getpid(), exitcode=0)
        reporting.close()
        figures.send()
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()


def make_child(
    executor: str,
    index: int,
    desk: Desk,
    runner: Runner,
    broker: Broker,
    standing: Standing,
    slots: Slots,
    link: Link,
    retirement: Retirement | None,
    prefetch: int | None = None,
) -> Child | Crew:
    """Return the child that an executor needs, ready to run."""
    if executor == "solo":
        from umbel.worker.solochild import SoloChild
        from umbel.worker.sololimit import SoloLimit

        alone = SoloLimit()
        alone.install()
        return SoloChild(index, desk, runner, broker, standing, slots, link, alone, prefetch=prefetch)
    if executor == "process":
        limit = SoftLimit()
        limit.install()
        return Child(index, desk, runner, broker, standing, slots, link, limit, retirement, prefetch)
    from umbel.worker.alarms import Alarms
    from umbel.worker.crew import Crew

    alarms = Alarms()
    hands: Threads | Loop
    if executor == "thread":
        from umbel.worker.threads import Threads

        hands = Threads(runner, alarms)
    else:
        from umbel.worker.loop import Loop

        hands = Loop(runner, alarms)
    crew = Crew(index, desk, broker, standing, slots, link, hands, alarms, retirement, prefetch)
    hands.join(crew)
    return crew


def _main() -> None:
    """Be a child that was started anew: import the app here."""
    handed = orjson.loads(sys.argv[1])
    options = WorkerOptions.from_json(handed["options"])
    linux.die_with_parent(handed["supervisor"])
    from umbel.logs import setup_logging
    from umbel.worker.loading import deaf_to_terminal, load

    deaf_to_terminal()
    setup_logging(options.loglevel)
    link = Link(socket.socket(fileno=os.dup(handed["fd"])))
    app = load(options, link)
    if app is None:
        os._exit(1)
    start_child(app, options, handed, handed["fd"], Slots(handed["slots"], handed["slots_fd"]))
    os._exit(0)


if __name__ == "__main__":
    _main()
