"""What a worker tells of itself. What its children do stands in shared memory, what they hold in Redis."""

from __future__ import annotations

import os
import resource
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from umbel.broker.base import Broker, ConnectionLost, Liveness
from umbel.config import censor_url
from umbel.control.taskinfo import TaskInfo, task_info
from umbel.errors import OperationalError
from umbel.redis import members
from umbel.worker.about import About
from umbel.worker.remote import Arguments, Handler
from umbel.worker.revoking import tell_revoked
from umbel.worker.roster import Roster
from umbel.worker.seat import Seat
from umbel.worker.tally import Tally

#: Delayed tasks and revoked ids that one answer lists at most.
MOST_SCHEDULED = 1000
MOST_REVOKED = 10_000
#: Seconds that an answer waits for the children, which may stand still.
CHILDREN_PATIENCE = 0.6


class Inspection:
    """See the module.

    Args:
        roster: who works here.
        broker: whose Redis knows what the children hold.
        about: the app, as the zygote describes it.
        tally: what the children have done.
    """

    def __init__(self, roster: Roster, broker: Broker, about: About, tally: Tally) -> None:
        self._roster = roster
        self._slots = roster.slots
        self._broker = broker
        self._about = about
        self._tally = tally
        self._liveness: Liveness = broker.liveness()
        self._started = time.monotonic()

    def handlers(self) -> dict[str, Handler]:
        """Return what answers each question, by Celery's names of them."""
        active, reserved, scheduled = self._active, self._reserved, self._scheduled
        revoked, registered, conf = self._revoked, self._registered, self._conf
        return {
            "ping": lambda arguments: {"ok": "pong"},
            "active": active,
            "dump_active": active,
            "reserved": reserved,
            "dump_reserved": reserved,
            "scheduled": scheduled,
            "dump_schedule": scheduled,
            "revoked": revoked,
            "dump_revoked": revoked,
            "registered": registered,
            "registered_tasks": registered,
            "dump_tasks": registered,
            "query_task": self._query_task,
            "stats": self._stats,
            "active_queues": self._active_queues,
            "conf": conf,
            "dump_conf": conf,
            "report": self._report,
        }

    # What the children hold

    def _held(self) -> tuple[list[TaskInfo], list[TaskInfo]]:
        """Return what runs, and what was fetched and has not begun."""
        running: list[TaskInfo] = []
        waiting: list[TaskInfo] = []
        try:
            for seat in self._roster.present():
                if seat.owner:
                    self._look_at(seat, running, waiting)
        except ConnectionLost as error:
            raise OperationalError(str(error)) from error
        return running, waiting

    def _look_at(self, seat: Seat, running: list[TaskInfo], waiting: list[TaskInfo]) -> None:
        held = self._liveness.held(seat.owner)
        # Looked at last: a task that began in between runs, one that ended in between is gone from either list soon.
        activities = {activity.tag: activity for activity in self._slots.running(seat.index)}
        for queue, messages in held.items():
            for tag, raw in sorted(messages.items()):
                info = task_info(raw, queue, hostname=self._roster.hostname, pid=seat.pid)
                if (activity := activities.get(tag)) is not None:
                    seconds = max(0.0, time.monotonic() - activity.started)
                    info |= {"time_start": time.time() - seconds, "runtime": round(seconds, 3)}
                    running.append(info)
                else:
                    waiting.append(info)

    def _active(self, arguments: Arguments) -> list[TaskInfo]:
        return self._held()[0]

    def _reserved(self, arguments: Arguments) -> list[TaskInfo]:
        return self._held()[1]

    def _query_task(self, arguments: Arguments) -> dict[str, Any]:
        wanted = arguments.get("ids") or ()
        ids = {wanted} if isinstance(wanted, str) else {str(one) for one in wanted}
        found: dict[str, Any] = {}
        for state, infos in zip(("active", "reserved"), self._held(), strict=True):
            found |= {info["id"]: [state, info] for info in infos if info["id"] in ids}
        return found

    def _scheduled(self, arguments: Arguments) -> list[dict[str, Any]]:
        limit = min(MOST_SCHEDULED, int(arguments.get("limit") or 100))
        found = []
        for queue in list(self._roster.queues):
            for message in self._broker.delayed(queue, limit):
                info = task_info(message.payload, queue)
                found.append((message.due_in, {"priority": info.get("priority"), "request": info}))
        now = time.time()
        return [
            {"eta": datetime.fromtimestamp(now + due_in, UTC).isoformat(timespec="milliseconds"), **item}
            for due_in, item in sorted(found, key=lambda pair: pair[0])[:MOST_SCHEDULED]
        ]

    def _revoked(self, arguments: Arguments) -> list[str]:
        revoked, seats = self._roster.revoked, self._roster.present()
        found = sorted(revoked)[:MOST_REVOKED]
        # What is listed here does not start any more: the children have read it before this is answered. What a child is told it
        # reads in order, so one that has answered the question after it knows.
        for seat in seats:
            tell_revoked(seat, revoked)
        self._tally.ask(seats, CHILDREN_PATIENCE)
        return found

    # What the app is

    def _registered(self, arguments: Arguments) -> list[str]:
        about = self._about.read()
        items = arguments.get("taskinfoitems") or ("rate_limit",)
        lines = []
        for name, options in about.get("tasks", {}).items():
            known = {**about["defaults"], **options}
            shown = " ".join(f"{item}={known[item]}" for item in items if known.get(item) is not None)
            lines.append(f"{name} [{shown}]" if shown else name)
        return lines

    def _conf(self, arguments: Arguments) -> dict[str, Any]:
        about = self._about.read()
        settings: dict[str, Any] = about.get("settings", {})
        if arguments.get("with_defaults"):
            return settings
        return {name: settings[name] for name in about.get("changed", ())}

    def _report(self, arguments: Arguments) -> dict[str, str]:
        from umbel.control import report  # what it imports is seldom needed

        settings = self._conf({})
        sections = {
            "software": report.software(),
            "broker": {"url": censor_url(self._broker.url), **self._broker.ping()},
            "settings": [f"{name}: {value!r}" for name, value in settings.items()] or ["all at their defaults"],
            "tasks": self._registered({}) or ["none"],
        }
        return {"ok": report.as_text(sections)}

    # Figures

    def _active_queues(self, arguments: Arguments) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "routing_key": name,
                "exchange": {"name": "", "type": "direct"},
                "durable": True,
                "weight": weight,
            }
            for name, weight in list(self._roster.queues.items())
        ]

    def _stats(self, arguments: Arguments) -> dict[str, Any]:
        seats = self._roster.present()
        slots = len(seats) * self._slots.lanes
        pids = [seat.pid for seat in seats]
        return {
            "state": self._roster.state,
            "total": {task: sum(totals.states.values()) for task, totals in self._tally.totals().items()},
            "pid": os.getpid(),
            "uptime": int(time.monotonic() - self._started),
            "slots": slots,
            "busy": sum(len(self._slots.running(seat.index)) for seat in seats),
            "done": sum(self._slots.done(seat.index) for seat in seats),
            "queues": list(self._roster.queues),
            "pool": {
                "implementation": f"umbel.worker:{self._roster.executor}",
                "max-concurrency": slots,
                "processes": pids,
            },
            "broker": _address(self._broker.url),
            "rusage": _rusage(),
            "memory": {str(pid): _resident(pid) for pid in (os.getpid(), *pids)},
            "worker": self._roster.id,
            "worker_pool": os.environ.get("UMBEL_POOL") or None,
            "pod_uid": os.environ.get("UMBEL_POD_UID") or None,
        }


def _address(url: str) -> dict[str, Any]:
    """Return where the broker is, without credentials."""
    if members.kind_of(url) != "single":
        several = members.read(url)
        (host, port), *others = several.addresses
        return {
            "transport": url.partition("://")[0],
            "hostname": host,
            "port": port,
            "alternates": [f"{host}:{port}" for host, port in others],
            "virtual_host": f"{several.master}/{several.database}".lstrip("/"),
        }
    parts = urlsplit(url)
    return {
        "transport": parts.scheme,
        "hostname": parts.hostname,
        "port": parts.port,
        "virtual_host": parts.path.lstrip("/") or "0",
    }


def _rusage() -> dict[str, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"utime": used.ru_utime, "stime": used.ru_stime, "maxrss": used.ru_maxrss}


def _resident(pid: int) -> int | None:
    """Return the resident memory of a process in bytes, None if it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="utf-8") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return None
