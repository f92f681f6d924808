"""Run one pod: a process that is probed, started again when it dies, and drained when it is no longer wanted."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from umbel_operator.local.container import Command, Surroundings, Unrunnable, main_container, make_command
from umbel_operator.local.naming import shown_name
from umbel_operator.local.output import last_words
from umbel_operator.local.probing import Prober
from umbel_operator.local.process import Process
from umbel_operator.local.redis import free_port
from umbel_operator.local.volumes import Lookup, MissingData, files_of, write_files
from umbel_operator.plan.model import Manifest

#: Seconds before a start that follows a death; the first is quick, each further one waits twice as long.
FIRST_PAUSE: Final = 0.5
LAST_PAUSE: Final = 30.0
#: A process that lived for so many seconds begins with the first pause again.
LONG_LIFE: Final = 60.0


class Phase(StrEnum):
    """Where a pod is in its life."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"  #: for its next start
    DRAINING = "draining"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Place:
    """What all pods share.

    folder: for the pods' own folders.
    broker_url: of the local Redis, with its password.
    environment: the variables that processes inherit.
    lookup: (kind, namespace, name) -> a ConfigMap or Secret.
    hear: takes (pod, line of its output, whether the output is Umbel's JSON logging).
    say: takes (pod, what happened to it).
    changed: called when a pod has changed its state.
    """

    folder: Path
    broker_url: str
    environment: Mapping[str, str]
    lookup: Callable[[str, str, str], Manifest | None]
    hear: Callable[[str, str, bool], None]
    say: Callable[[str, str], None]
    changed: Callable[[], None]


class Pod:
    """One replica; it lives until `leave`.

    manifest: metadata and spec, as the Deployment's template gives them.
    container: the name of the container that runs.
    workdir: in which its process runs.
    """

    def __init__(self, manifest: Manifest, container: str, workdir: Path, place: Place) -> None:
        self.manifest = manifest
        self.phase = Phase.STARTING
        self.restarts = 0
        #: Whether it was ended without the time to drain, so that it may have left owners behind.
        self.killed = False
        self.port = 0
        self._container = container
        self._workdir = workdir
        self._place = place
        self._folder = place.folder / f"{manifest['metadata']['namespace']}.{manifest['metadata']['name']}"
        self._process: Process | None = None
        self._last_line = ""
        self._waiting_for: dict[str, str] = {}
        self._noted: set[str] = set()
        self._leaving = asyncio.Event()
        self._hurried = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"pod {self.name}")

    @property
    def name(self) -> str:
        """Return its name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def title(self) -> str:
        """Return its name for people."""
        return shown_name(self.manifest["metadata"]["namespace"], self.name)

    @property
    def uid(self) -> str:
        """Return its uid."""
        return str(self.manifest["metadata"]["uid"])

    @property
    def pid(self) -> int | None:
        """Return the id of its process, None while there is none."""
        return self._process.pid if self._process is not None and not self._process.ended else None

    @property
    def trouble(self) -> str:
        """Return why it is not running; empty while it is."""
        return self._waiting_for.get("message", "")

    @property
    def grace(self) -> float:
        """Return the seconds that it gets to end."""
        return float(self.manifest["spec"].get("terminationGracePeriodSeconds", 30))

    def leave(self) -> None:
        """Ask it to finish what runs and to end."""
        if not self._leaving.is_set():
            self._leaving.set()
            self._hurried.set()
            self._enter(Phase.DRAINING)
            self._signal(signal.SIGTERM)

    def hurry(self) -> None:
        """End it cold: what runs goes back to its queue."""
        self.leave()
        self.killed = True
        self._signal(signal.SIGQUIT)

    def kill(self) -> None:
        """End it at once."""
        self.leave()
        self.killed = True
        self._signal(signal.SIGKILL)

    def retry(self) -> None:
        """Start it now if it waits for its next start."""
        if self.phase is Phase.WAITING:
            self._hurried.set()

    def check(self) -> None:
        """Raise what should never have happened in its life."""
        if self._task.done():
            self._task.result()

    async def gone(self) -> None:
        """Wait until nothing of it is left."""
        await asyncio.shield(self._task)

    def refresh(self) -> None:
        """Bring the files of its volumes up to date."""
        mounted = {mount["name"] for mount in main_container(self.manifest, self._container).get("volumeMounts") or ()}
        for volume in self.manifest["spec"].get("volumes") or ():
            folder = self._folder / volume["name"]
            if volume["name"] in mounted and folder.is_dir():
                with contextlib.suppress(MissingData):
                    files = files_of(volume, self._lookup())
                    if files:
                        write_files(folder, files)

    def status(self) -> dict[str, Any]:
        """Return its status as the kubelet writes it."""
        ready = self.phase is Phase.READY
        state = {"waiting": self._waiting_for} if self._waiting_for else {"running": {}}
        container = {"name": self._container, "restartCount": self.restarts, "ready": ready, "state": state}
        conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
        return {"phase": "Running", "containerStatuses": [container], "conditions": conditions}

    # Its life

    async def _run(self) -> None:
        deaths = 0
        while not self._leaving.is_set():
            began = time.monotonic()
            try:
                command = self._command()
            except Unrunnable as problem:
                reason, trouble = "CreateContainerConfigError", str(problem)
            else:
                reason, trouble = "CrashLoopBackOff", await self._live(command)
                if self._leaving.is_set():
                    break
                self.restarts += 1
            deaths = deaths + 1 if time.monotonic() - began < LONG_LIFE else 1
            await self._wait(reason, trouble, min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** min(deaths - 1, 10)))
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        self._enter(Phase.GONE)

    async def _wait(self, reason: str, trouble: str, pause: float) -> None:
        if self.trouble != trouble:
            self._place.say(self.title, f"{trouble}; tried again in {pause:g} s")
        self._waiting_for = {"reason": reason, "message": trouble}
        self._enter(Phase.WAITING)
        self._hurried.clear()
        if not self._leaving.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurried.wait()

    async def _live(self, command: Command) -> str:
        """Run the process until it ends; return how it did."""
        for folder, files in command.volumes.items():
            await asyncio.to_thread(write_files, folder, files)
        for note in command.notes:
            if note not in self._noted:
                self._noted.add(note)
                self._place.say(self.title, note)

        def take(line: str) -> None:
            if line.strip():
                self._last_line = line
            self._place.hear(self.title, line, command.json_logs)

        self._last_line = ""
        try:
            self._process = await Process.start(
                command.argv, cwd=self._workdir, environment=command.environment, take=take
            )
        except OSError as error:
            return f"cannot be started in {self._workdir}: {error.strerror}"
        self._enter(Phase.STARTING)
        if self._leaving.is_set():
            self._process.signal(signal.SIGTERM)
        prober = asyncio.create_task(Prober(self.port, self._probed, self._stuck).run(), name=f"probes of {self.name}")
        try:
            code = await self._ended(self._process)
        finally:
            prober.cancel()
        return last_words(code, self._last_line)

    async def _ended(self, process: Process) -> int:
        """Wait for the process to end, at most for the grace period once it was asked to."""
        asked = asyncio.create_task(self._leaving.wait())
        end = asyncio.create_task(process.wait())
        await asyncio.wait([asked, end], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        await asyncio.wait([end], timeout=self.grace)
        if not end.done():
            self._place.say(self.title, f"did not end within {self.grace:g} s and is killed")
            self.kill()
        return await end

    def _command(self) -> Command:
        self.port = free_port()
        around = Surroundings(
            port=self.port,
            folder=self._folder,
            broker_url=self._place.broker_url,
            environment=self._place.environment,
            lookup=self._lookup(),
        )
        return make_command(self.manifest, self._container, around)

    def _lookup(self) -> Lookup:
        namespace = str(self.manifest["metadata"]["namespace"])
        return lambda kind, name: self._place.lookup(kind, namespace, name)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.signal(number)

    def _probed(self, ready: bool) -> None:
        if self.phase in (Phase.STARTING, Phase.READY):
            if ready:
                self._waiting_for = {}
            self._enter(Phase.READY if ready else Phase.STARTING)

    def _stuck(self, seconds: float) -> None:
        self._place.say(self.title, f"/livez has not answered for {seconds:g} s: it is killed")
        self._signal(signal.SIGKILL)

    def _enter(self, phase: Phase) -> None:
        if phase is self.phase or (self.phase is Phase.DRAINING and phase is not Phase.GONE):
            return
        self.phase = phase
        self._place.changed()
