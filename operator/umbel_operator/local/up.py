"""`umbel up` at work: files in, processes out, until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from umbel_operator.api.names import ANNOTATION_RESTARTED_AT
from umbel_operator.local.beats import Beats
from umbel_operator.local.controller import Controller, Told
from umbel_operator.local.deployments import Deployments
from umbel_operator.local.files import Files
from umbel_operator.local.folder import temporary_folder
from umbel_operator.local.gauges import Gauges
from umbel_operator.local.naming import shown_name
from umbel_operator.local.notices import Notice, Notices, failing
from umbel_operator.local.output import read_line, task_end
from umbel_operator.local.pod import Phase, Place, Pod
from umbel_operator.local.redirect import Address, wanted_objects
from umbel_operator.local.redis import Redis
from umbel_operator.local.screen import SELF, Screen
from umbel_operator.local.snapshot import Tasks, queues_by_prefix, take
from umbel_operator.local.store import Store
from umbel_operator.local.watching import changes, code_changes
from umbel_operator.local.words import edits, exports, heading, remarks, summary
from umbel_operator.plan.model import Ref

#: Seconds between two looks where nothing happens.
TICK: Final = 1.0
#: Passes after which the next tick goes on, should they never come to rest.
PASSES: Final = 5
#: Seconds between two lines about what is not finished yet.
REMINDER_SECONDS: Final = 10.0
#: Seconds between the cold end of what runs and its kill.
COLD_SECONDS: Final = 3.0


class NothingToRun(Exception):
    """The files cannot be run at all; the text says why, one problem a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The command line.

    paths: absolute. seconds: after which to end, None for never. redis: None to start one. workdir: for all workers.
    reload: replace workers when Python files in their folder change.
    """

    paths: Sequence[Path]
    seconds: float | None = None
    redis: Address | None = None
    workdir: Path | None = None
    reload: bool = False


class Up:
    """See the module. `run` once."""

    def __init__(self, wishes: Wishes, screen: Screen) -> None:
        self._wishes = wishes
        self._screen = screen
        self._files = Files(wishes.paths)
        self._declared = self._files.read()
        if self._declared.problems:
            raise NothingToRun("\n".join(map(str, self._declared.problems)))
        if not self._declared.resources:
            where = ", ".join(map(str, wishes.paths))
            raise NothingToRun(
                f"{where}: no object of umbel.dev is declared there; a TaskQueue and a WorkerPool make a start"
            )
        self._wake = asyncio.Event()
        self._end = asyncio.Event()
        self._signals = 0
        self._tasks = Tasks()
        self._notices = Notices()
        self._deployments: Deployments | None = None
        self._jobs: set[asyncio.Task[None]] = set()
        self._unready: list[Notice] = []
        self._reloaded = ""
        self._began = time.monotonic()

    async def run(self) -> int:
        """Run until a signal, or until the time is over; return the exit code.

        Raises `NoRedis`, `OperationalError`: nothing could be started.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup, the end of the terminal is ignored.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                loop.add_signal_handler(number, self._asked_to_end)
        with temporary_folder() as folder:
            self._folder = folder
            if self._wishes.redis is not None:
                return await self._run_on(self._wishes.redis)
            redis = Redis(folder / "redis", lambda text: self._screen.say(SELF, text, logging.WARNING))
            try:
                await redis.start()
                return await self._run_on(redis.address)
            finally:
                await redis.stop()

    def end(self) -> None:
        """Ask it to end."""
        self._end.set()
        self._wake.set()

    # Its parts

    async def _run_on(self, address: Address) -> int:
        self._address = address
        self._gauges = Gauges(address.url, lambda: queues_by_prefix(self._controller.resources()))
        server = await self._gauges.check()
        self._store = Store()
        self._beats = Beats(self._pods, self._wake.set)
        self._controller = Controller(self._store, self._beats.sample)
        self._deployments = Deployments(self._store, self._place(), self._workdir, self._killed)
        self._adopt()
        self._screen.start(
            heading(self._wishes.paths, server, address.shown), exports(self._controller.resources(), address.url)
        )
        for text in remarks(self._declared, address.shown):
            self._screen.say(SELF, text)
        jobs = [self._beats.run(), self._gauges.run(), self._watch()]
        if self._wishes.reload:
            jobs.append(self._watch_code())
        background = [asyncio.create_task(job) for job in jobs]
        try:
            await self._work(background)
            code = self._verdict()
            await self._drain()
        finally:
            for job in background:
                job.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            self._kill_all()
            await asyncio.gather(*(pod.gone() for pod in self._pods()), return_exceptions=True)
            self._gauges.close()
            seconds = time.monotonic() - self._began
            self._screen.stop(summary(self._tasks, self._unready, seconds))
        return code

    def _pods(self) -> list[Pod]:
        return self._deployments.pods() if self._deployments is not None else []

    def _place(self) -> Place:
        return Place(
            folder=self._folder / "pods",
            broker_url=self._address.url,
            environment=dict(os.environ),
            lookup=lambda kind, namespace, name: self._store.get(Ref("v1", kind, namespace, name)),
            hear=self._hear,
            say=lambda pod, text: self._screen.say(pod, text, logging.WARNING),
            changed=self._wake.set,
        )

    async def _work(self, background: Sequence[asyncio.Task[None]]) -> None:
        """Look at everything whenever something has changed, and every second."""
        deadline = None if self._wishes.seconds is None else time.monotonic() + self._wishes.seconds
        while not self._end.is_set() and (deadline is None or time.monotonic() < deadline):
            self._wake.clear()
            self._pass()
            self._show()
            for job in background:
                if job.done():
                    job.result()
            wait = TICK if deadline is None else max(0.0, min(TICK, deadline - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    def _pass(self) -> None:
        assert self._deployments is not None
        for _ in range(PASSES):
            before = self._store.version
            self._adopt()
            for told in self._controller.reconcile():
                if told.event.type == "Warning" and told.event.reason not in self._noticed(told):
                    name = shown_name(told.namespace, told.name)
                    self._screen.say(SELF, f"{told.kind} {name}: {told.event.message}", logging.WARNING)
            self._deployments.step()
            if self._store.version == before:
                return

    def _adopt(self) -> None:
        wanted = list(wanted_objects(self._declared, self._address))
        if self._reloaded:
            for body in wanted:
                if body["kind"] == "WorkerPool":
                    body["metadata"]["annotations"][ANNOTATION_RESTARTED_AT] = self._reloaded
        self._controller.adopt(wanted)

    def _noticed(self, told: Told) -> set[str]:
        """Return the reasons of the resource's conditions that are told as notices."""
        wanted = (told.kind, told.namespace, told.name)
        found = (r for r in self._controller.resources() if (r.kind_name(), r.namespace, r.name) == wanted)
        return {notice.reason for resource in found for notice in failing(resource)}

    def _show(self) -> None:
        resources = self._controller.resources()
        notices, lines = self._notices.look(resources)
        for text in lines:
            level = logging.WARNING if text.startswith("not ready") else logging.INFO
            self._screen.say(SELF, text, level)
        problems = [str(problem) for problem in self._declared.problems]
        self._screen.show(take(resources, self._pods(), self._gauges.numbers, self._tasks, notices, problems))

    # What happens

    def _asked_to_end(self) -> None:
        self._signals += 1
        self.end()
        if self._signals == 2:
            self._screen.say(SELF, "ending cold: what runs goes back to its queue", logging.WARNING)
            for pod in self._pods():
                pod.hurry()
            asyncio.get_running_loop().call_later(COLD_SECONDS, self._kill_all)
        elif self._signals > 2:
            self._kill_all()

    def _kill_all(self) -> None:
        for pod in self._pods():
            pod.kill()

    async def _watch(self) -> None:
        async for _ in changes(self._wishes.paths):
            declared = await asyncio.to_thread(self._files.read)
            before, self._declared = self._declared, declared
            if declared.problems and declared.problems != before.problems:
                for problem in declared.problems:
                    self._screen.say(SELF, f"{problem}; the last good state goes on", logging.ERROR)
            elif before.problems and not declared.problems:
                self._screen.say(SELF, "the files are whole again")
            for text in edits(before, declared):
                self._screen.say(SELF, text)
            for pod in self._pods():
                pod.retry()
            self._wake.set()

    async def _watch_code(self) -> None:
        pools = (name for name in self._declared.resources if name[0] == "WorkerPool")
        async for names in code_changes({self._workdir(*pool) for pool in pools}):
            self._screen.say(SELF, f"{', '.join(names)} changed: workers are replaced")
            self._reloaded = datetime.now(UTC).isoformat()
            self._wake.set()

    def _hear(self, pod: str, text: str, json_logs: bool) -> None:
        line = read_line(text, json_logs)
        end = task_end(line, pod)
        if end is not None:
            self._tasks.add(end)
        if line.is_shown:
            self._screen.line(pod, line)

    def _killed(self, namespace: str, broker: str, uid: str) -> None:
        self._start_job(self._beats.tell_killed(namespace, broker, uid))

    def _start_job(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(job)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    def _workdir(self, kind: str, namespace: str, name: str) -> Path:
        if self._wishes.workdir is not None:
            return self._wishes.workdir
        document = self._declared.resources.get((kind, namespace, name))
        if document is not None:
            return document.path.parent
        first = self._wishes.paths[0]
        return first if first.is_dir() else first.parent

    # The end

    def _verdict(self) -> int:
        """Return the exit code: 1 where it ends by itself and something is not ready."""
        found = (notice for r in self._controller.resources() for notice in failing(r))
        self._unready = [notice for notice in found if notice.is_trouble]
        return 1 if self._unready and not self._end.is_set() else 0

    async def _drain(self) -> None:
        """End the workers, then beat; what they say is still heard."""
        assert self._deployments is not None
        running = sum(pod.phase is not Phase.GONE for pod in self._pods())
        self._screen.say(SELF, f"ending {running} pods; running tasks are finished first (Ctrl-C: at once)")
        showing = asyncio.create_task(self._keep_showing())
        try:
            await self._deployments.stop("worker")
            await self._deployments.stop("beat")
        finally:
            showing.cancel()

    async def _keep_showing(self) -> None:
        told = time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            self._show()
            if time.monotonic() - told >= REMINDER_SECONDS:
                told = time.monotonic()
                left = ", ".join(pod.title for pod in self._pods() if pod.phase is not Phase.GONE)
                self._screen.say(SELF, f"still finishing: {left}")
