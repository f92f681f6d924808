"""Carries faults out, and undoes those that last."""

from __future__ import annotations

import heapq
import json
import os
import signal
import time
from collections.abc import Callable

from tests.chaos.storm.fleet import Fleet, Place
from tests.chaos.storm.memory import size_of
from tests.chaos.storm.plan import Fault
from tests.chaos.storm.recovery import Recoveries

from umbel.redis import keys


class Faults:
    """See the module.

    Args:
        fleet: what they hit.
        recoveries: told of each death.
        tell: called with a sentence about each fault.
    """

    def __init__(self, fleet: Fleet, recoveries: Recoveries, tell: Callable[[str], None]) -> None:
        self._fleet = fleet
        self._recoveries = recoveries
        self._tell = tell
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._away = False  # Redis
        self.done: dict[str, int] = {}

    def carry_out(self, fault: Fault) -> None:
        """Do it; one that lasts is undone by `catch_up` in time. Nothing is done where nobody is left to be hit."""
        act = getattr(self, "_" + fault.kind.replace("-", "_"))
        hit = act(fault)
        self._tell(f"{fault.kind}{f' {fault.lasts:.1f} s' if fault.lasts else ''}: {hit or 'nobody there'}")
        self.done[fault.kind] = self.done.get(fault.kind, 0) + bool(hit)

    def catch_up(self, until: float) -> None:
        """Undo what is to be undone up to a moment, each in its time, and wait for that moment."""
        while self._later and self._later[0][0] <= until:
            when, _, undo = heapq.heappop(self._later)
            time.sleep(max(0.0, when - time.monotonic()))
            undo()
        time.sleep(max(0.0, until - time.monotonic()))

    def calm_down(self, until: float) -> None:
        """Undo all that is left, each in its time."""
        while self._later and time.monotonic() < until:
            self.catch_up(self._later[0][0])

    def _after(self, seconds: float, undo: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._later, (time.monotonic() + seconds, self._count, undo))

    # Children

    def _child_kill(self, fault: Fault) -> str:
        found = self._victim(fault)
        if found is None:
            return ""
        place, pid, held = found
        _send(pid, signal.SIGKILL)
        who = f"child {pid} of {place.worker.hostname}"
        self._recoveries.watch("child", who, place.worker.hostname, held)
        return who

    def _child_stop(self, fault: Fault) -> str:
        found = self._victim(fault)
        if found is None:
            return ""
        place, pid, _ = found
        _send(pid, signal.SIGSTOP)
        self._after(fault.lasts, lambda: _send(pid, signal.SIGCONT))
        return f"child {pid} of {place.worker.hostname}"

    def _victim(self, fault: Fault) -> tuple[Place, int, list[str]] | None:
        """Return one child among those whom nothing is being done to, and where its owner holds messages."""
        owners = self._owners()
        living = [
            (place, pid, held)
            for place in self._fleet.places
            if not (place.frozen or place.leaving or place.absent)
            for pid, held in owners.get(place.worker.hostname, {}).items()
            if os.path.exists(f"/proc/{pid}")
        ]
        return living[int(fault.pick * len(living))] if living else None

    # Workers

    def _worker_kill(self, fault: Fault) -> str:
        return self._kill_worker(fault, lambda place: [place.worker.pid])

    def _worker_kill_all_at_once(self, fault: Fault) -> str:
        """As the kernel does where a group of processes is out of memory."""
        return self._kill_worker(fault, lambda place: [*place.worker.children(), place.worker.pid])

    def _kill_worker(self, fault: Fault, pids: Callable[[Place], list[int]]) -> str:
        place = self._place(fault)
        if place is None:
            return ""
        worker = place.worker
        owned = [key for held in self._owners().get(worker.hostname, {}).values() for key in held]
        self._recoveries.void(worker.hostname)
        place.absent = True  # first: nobody is to be asked any more whether it lives
        for pid in pids(place):
            _send(pid, signal.SIGKILL)
        worker.process.wait(10)
        if owned:
            self._recoveries.watch("worker", f"worker {worker.hostname}", worker.hostname, owned)
        self._replace(place, fault.lasts)
        return worker.hostname

    def _worker_freeze(self, fault: Fault) -> str:
        return self._freeze(fault, lambda place: [place.worker.pid, *place.worker.children()])

    def _supervisor_freeze(self, fault: Fault) -> str:
        return self._freeze(fault, lambda place: [place.worker.pid])

    def _freeze(self, fault: Fault, pids: Callable[[Place], list[int]]) -> str:
        place = self._place(fault)
        if place is None:
            return ""
        self._recoveries.void(place.worker.hostname)
        place.frozen = pids(place)
        for pid in place.frozen:
            _send(pid, signal.SIGSTOP)

        def thaw() -> None:
            for pid in place.frozen:
                _send(pid, signal.SIGCONT)
            place.frozen = []

        self._after(fault.lasts, thaw)
        return place.worker.hostname

    def _worker_term(self, fault: Fault) -> str:
        place = self._place(fault)
        if place is None:
            return ""
        self._recoveries.void(place.worker.hostname)
        place.absent = True
        place.worker.send(signal.SIGTERM)
        hostname = place.worker.hostname
        self._replace(place, 0.0)
        return hostname

    def _zygote_kill(self, fault: Fault) -> str:
        place = self._place(fault)
        if place is None:
            return ""
        children = self._owners().get(place.worker.hostname, {})
        others = [pid for pid in place.worker.children() if pid not in children]
        if len(children) < 2 or len(others) != 1:
            return ""  # a child that is not entered yet looks the same
        _send(others[0], signal.SIGKILL)
        return f"zygote {others[0]} of {place.worker.hostname}"

    def _place(self, fault: Fault) -> Place | None:
        free = [place for place in self._fleet.places if not (place.frozen or place.leaving or place.absent)]
        return free[int(fault.pick * len(free))] if free else None

    def _replace(self, place: Place, seconds: float) -> None:
        self._fleet.ended.append(place.worker)
        place.absent = True
        place.start = None

        def begin() -> None:
            place.worker = self._fleet.new_worker(place.executor)
            place.leaving = True  # until it is ready
            self._after(0.5, look)

        def look() -> None:
            if place.worker.probe("readyz")[0] == 200:
                place.leaving = place.absent = False
                place.start = size_of(place.worker.pid)
            elif place.worker.process.poll() is not None:  # Redis was away when it started
                self._fleet.ended.append(place.worker)
                begin()
            else:
                self._after(0.5, look)

        self._after(seconds, begin)

    # The others

    def _beat_kill(self, fault: Fault) -> str:
        if self._fleet.beat.process.poll() is not None:
            return ""
        self._fleet.beat.kill()
        self._after(fault.lasts, self._start_beat)
        return "beat"

    def _start_beat(self) -> None:
        self._fleet.start_beat()
        self._after(1.0, self._look_at_beat)

    def _look_at_beat(self) -> None:
        """Start a beat again that ended by itself, as Redis was away when it started."""
        if self._fleet.beat.process.poll() is not None:
            self._start_beat()
        elif not self._fleet.beat.status():
            self._after(1.0, self._look_at_beat)

    def _redis_restart(self, fault: Fault) -> str:
        self._away = True
        self._fleet.redis.stop()
        self._after(fault.lasts, self._start_redis)
        return "Redis"

    def _redis_kill(self, fault: Fault) -> str:
        self._away = True
        self._fleet.redis.kill()
        self._after(fault.lasts, self._start_redis)
        return "Redis"

    def _start_redis(self) -> None:
        self._fleet.redis.start()
        self._redis_is_back()

    def _redis_hang(self, fault: Fault) -> str:
        self._away = True
        self._fleet.redis.pause()

        def go_on() -> None:
            self._fleet.redis.go_on()
            self._redis_is_back()

        self._after(fault.lasts, go_on)
        return "Redis"

    def _redis_is_back(self) -> None:
        self._recoveries.back = time.monotonic()
        self._away = False

    def _cut_connections(self, fault: Fault) -> str:
        return self._tell_redis("CLIENT", "KILL", "TYPE", "normal")

    def _forget_scripts(self, fault: Fault) -> str:
        return self._tell_redis("SCRIPT", "FLUSH")

    def _tell_redis(self, *command: str) -> str:
        if self._away:
            return ""
        with self._fleet.redis.client() as client:
            client.execute_command(*command)
        return "Redis"

    def _owners(self) -> dict[str, dict[int, list[str]]]:
        """Return for each worker its children with the keys of what they hold; empty while Redis is away."""
        found: dict[str, dict[int, list[str]]] = {}
        prefix = self._fleet.prefix
        if self._away:
            return found
        with self._fleet.redis.client() as client:
            for owner in client.zrange(keys.beats(prefix), 0, -1):
                entry = client.hgetall(keys.registry(prefix, owner.decode()))
                if entry:
                    name = entry[b"hostname"].decode()
                    owned = [keys.owned(prefix, queue, owner.decode()) for queue in _queues(entry)]
                    found.setdefault(name, {})[int(entry[b"pid"])] = owned
        return found


def _queues(entry: dict[bytes, bytes]) -> list[str]:
    return list(json.loads(entry[b"queues"]))


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
