"""A worker with a bound on its memory. When that is reached one process dies, or all do, as a kubelet has it on cgroup v2.

Where the machine lets us make a memory cgroup of version 1, the kernel itself says when the memory is used up, and kills the
process that it chooses; where all are to die its choice is switched off, and what it says is acted upon. Elsewhere the memory of
all processes is added up.
"""

from __future__ import annotations

import os
import signal
import threading
import uuid
from pathlib import Path

from tests.chaos.storm.memory import size_of
from tests.workers import Worker, until

_V1 = Path("/sys/fs/cgroup/memory")


class MemoryGroup:
    """See the module.

    Args:
        worker: just started, so that all it forks belongs to the group.
        mebibytes: that all of it may use.
        all_at_once: whether all processes die.
    """

    def __init__(self, worker: Worker, mebibytes: int, *, all_at_once: bool) -> None:
        self.by_kernel = False
        self._all_at_once = all_at_once
        self._worker = worker
        self._mebibytes = mebibytes
        self._folder = _V1 / f"umbel-test-{uuid.uuid4().hex[:12]}"
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._control = -1
        self._stopped = threading.Event()
        try:
            self._enter()
            self.by_kernel = True
        except OSError:
            self._leave()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def remove(self) -> None:
        """Stop watching, and remove the group; its processes have ended."""
        self._stopped.set()
        self._thread.join(10)
        self._leave()
        os.close(self._event)

    def _enter(self) -> None:
        self._folder.mkdir()
        (self._folder / "memory.limit_in_bytes").write_text(str(self._mebibytes << 20))
        (self._folder / "memory.oom_control").write_text("1" if self._all_at_once else "0")
        self._control = os.open(self._folder / "memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        (self._folder / "cgroup.event_control").write_text(f"{self._event} {self._control}")
        (self._folder / "cgroup.procs").write_text(str(self._worker.pid))

    def _leave(self) -> None:
        if self._control >= 0:
            os.close(self._control)
            self._control = -1
        if self._folder.exists():
            until(self._is_gone, "the group is empty")

    def _is_gone(self) -> bool:
        try:
            self._folder.rmdir()
        except OSError:
            return False
        return True

    def _watch(self) -> None:
        while not self._stopped.wait(0.02):
            if self._is_full():
                if self._all_at_once:
                    self._kill_all()
                elif not self.by_kernel:
                    os.kill(max(self._members(), key=_mebibytes), signal.SIGKILL)

    def _is_full(self) -> bool:
        if self.by_kernel:
            try:
                return os.eventfd_read(self._event) > 0
            except BlockingIOError:
                return False
        return sum(_mebibytes(pid) for pid in self._members()) > self._mebibytes

    def _kill_all(self) -> None:
        """In no order, and until nobody is left: one of them may just have forked."""
        while members := self._members():
            for pid in members:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self._stopped.wait(0.01)
            if self._worker.process.poll() is not None and not self.by_kernel:
                return

    def _members(self) -> list[int]:
        if self.by_kernel:
            return [int(pid) for pid in (self._folder / "cgroup.procs").read_text().split()]
        return [*self._worker.children(), self._worker.pid]


def _mebibytes(pid: int) -> float:
    try:
        return size_of(pid).mebibytes
    except OSError:
        return 0.0
