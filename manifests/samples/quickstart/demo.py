"""`make demo`: run the quickstart without a cluster, kill workers in the middle, and see that nothing is lost.

It ends with a table and the line `demo ok: …`, or with what went wrong and exit code 1.
"""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from tasks import app

from umbel import AsyncResult, states
from umbel.errors import TimeLimitExceeded, UmbelError

HERE = Path(__file__).resolve().parent
#: Seconds for everything.
ALL_SECONDS = 55.0
#: What workers say of a task that is to be tried again, and of a run of the Schedule.
RETRIED = r"task\.retry .*task_id=(\S+)"
SCHEDULED = r"task\.success task=tasks\.inventory task_id=(\S+)"
#: Runs of the Schedule that are waited for.
SCHEDULED_RUNS = 2
#: What is meant to fail, with the error that it is meant to fail with.
INTENDED: dict[str, type[BaseException]] = {"hits its time limit": TimeLimitExceeded, "fails": FileNotFoundError}

T = TypeVar("T")
console = Console(highlight=False)


class DemoFailed(Exception):
    """Something is not as promised; the text says what."""


@dataclass
class Sent:
    """One task that was sent. sent, killed: when it was, and when its process was killed, by the clock of `time.time`."""

    id: str
    purpose: str
    task: str
    path: str = ""
    sent: float = 0.0
    delay: float = 0.0
    killed: float | None = None

    @property
    def result(self) -> AsyncResult[Any]:
        """Return its result."""
        return app.AsyncResult(self.id)


@dataclass
class Tally:
    """What came of the tasks of one purpose."""

    sent: int = 0
    succeeded: int = 0
    failed: int = 0
    lost: int = 0
    recovered: list[float] = field(default_factory=list)


class Platform:
    """`umbel up` in a process of its own, and what it prints."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "umbel", "up", "-f", str(HERE), "--no-table"]
        self.lines: list[str] = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def find(self, pattern: str) -> list[str]:
        """Return the first group of each line that the pattern is found in."""
        return [match[1] for line in list(self.lines) if (match := re.search(pattern, line))]

    def stop(self) -> int:
        """Interrupt it as Ctrl-C does, and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise DemoFailed("umbel up did not end within 20 s after Ctrl-C") from None

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


def main() -> int:
    """Run the demo; return the exit code."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="umbel-demo-") as folder, platform() as up:
        try:
            tallies, wrong = judge_all(show(up, Path(folder), began + ALL_SECONDS))
            app.close()
            step("Ctrl-C for umbel up")
            code = up.stop()
            if code != 0:
                raise DemoFailed(f"umbel up ended with exit code {code}")
        except (DemoFailed, UmbelError) as problem:
            say("\n".join(up.lines[-40:]), "dim")
            say(f"demo failed: {problem}", "bold red")
            return 1
    return report(tallies, wrong, time.monotonic() - began)


@contextmanager
def platform() -> Iterator[Platform]:
    """Start `umbel up`, and end it whatever happens."""
    up = Platform()
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.process.terminate()
            try:
                up.process.wait(10)
            except subprocess.TimeoutExpired:
                up.process.kill()


def show(up: Platform, folder: Path, deadline: float) -> list[Sent]:
    """Do everything that the demo shows; return all tasks, each with a result."""
    step("umbel up starts Redis, beat and two workers from three files of YAML")
    environment = connect(up, deadline)
    step("a producer, in a process of its own, sends a few hundred tasks")
    sent = produce(folder, environment)
    kill_in_the_middle([task for task in sent if task.purpose == "waits for the gate"], deadline)
    (folder / "gate").touch()
    step("waiting for every result")
    retried = {task.id for task in sent if task.purpose == "is tried again"}
    wait("a retry of each task that needs one", lambda: retried <= set(up.find(RETRIED)), deadline)
    # Renamed into its place: a retry in this moment must not read half a file.
    (folder / "being-written").write_text("now it is there", encoding="utf-8")
    (folder / "being-written").rename(folder / "written-later")
    sent += scheduled_runs(up, deadline)
    while not all(task.result.ready() for task in sent) and time.monotonic() < deadline:
        time.sleep(0.1)
    wait("an empty queue", lambda: waiting_or_running() == 0, deadline + 2)
    dead = app.broker.info("texts").dead
    if dead:
        raise DemoFailed(f"there are {dead} dead letters; umbel dead list shows them")
    return sent


def connect(up: Platform, deadline: float) -> dict[str, str]:
    """Wait until everything is ready; return the variables by which producers find the broker."""
    for what in ("WorkerPool readers", "TaskQueue texts", "Schedule inventory"):
        while not up.find(f"({what}) is ready"):
            if up.process.poll() is not None:
                raise DemoFailed(f"umbel up ended with exit code {up.process.returncode}")
            if time.monotonic() > deadline:
                raise DemoFailed(f"waited too long for {what} to be ready")
            time.sleep(0.05)
    (exports,) = up.find("for producers:  export (.*)")
    environment = dict(part.split("=", 1) for part in exports.split())
    app.conf.update({"broker_url": environment["UMBEL_BROKER_URL"], "key_prefix": environment["UMBEL_KEY_PREFIX"]})
    return environment


def produce(folder: Path, environment: dict[str, str]) -> list[Sent]:
    """Run the producer and return what it sent."""
    done = subprocess.run(
        [sys.executable, str(HERE / "producer.py"), str(folder)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if done.returncode != 0:
        raise DemoFailed(f"the producer ended with exit code {done.returncode}: {done.stderr[-2000:]}")
    return [Sent(**json.loads(line)) for line in done.stdout.splitlines()]


def kill_in_the_middle(gated: list[Sent], deadline: float) -> None:
    """Kill one child of one worker and the whole other worker, each in the middle of tasks."""
    inspect = app.control.inspect()
    ids = {task.id for task in gated}

    def all_run() -> dict[str, list[dict[str, Any]]] | None:
        active: dict[str, list[dict[str, Any]]] = inspect.active()
        running = {task["id"] for tasks in active.values() for task in tasks}
        return active if ids <= running else None

    active = wait("four tasks to run at once", all_run, deadline)
    stats = inspect.stats()
    first, second = sorted(active)
    child = active[first][0]
    # A worker's id is made of its pod, the process id of its supervisor, and the time.
    supervisor = int(stats[second]["worker"].split(":")[1])
    victims = {child["id"], *(task["id"] for task in active[second])}
    step(f"kill -9 {child['worker_pid']}: a child of {first}, in the middle of a task")
    os.kill(child["worker_pid"], signal.SIGKILL)
    step(f"kill -9 {supervisor}: the whole worker {second}, in the middle of {len(active[second])} tasks")
    os.kill(supervisor, signal.SIGKILL)
    for task in gated:
        task.killed = time.time() if task.id in victims else None


def scheduled_runs(up: Platform, deadline: float) -> list[Sent]:
    """Wait for some runs of the Schedule, and return them."""

    def runs() -> list[str] | None:
        found = list(dict.fromkeys(up.find(SCHEDULED)))
        return found if len(found) >= SCHEDULED_RUNS else None

    ids = wait(f"{SCHEDULED_RUNS} runs of the Schedule", runs, deadline)
    return [Sent(id, "is scheduled", "tasks.inventory") for id in ids]


def waiting_or_running() -> int:
    """Return how many tasks wait or run."""
    queue = app.broker.info("texts")
    return queue.ready + queue.delayed + queue.in_flight


def judge_all(sent: list[Sent]) -> tuple[dict[str, Tally], list[str]]:
    """Compare every result with the truth; return what came of the tasks by purpose, and what is wrong."""
    tallies: dict[str, Tally] = {}
    wrong = []
    for task in sent:
        tally = tallies.setdefault(task.purpose, Tally())
        tally.sent += 1
        problem = judge(task, tally)
        if problem is not None:
            wrong.append(f"{task.task}({task.path}), which {task.purpose}: {problem}")
    return tallies, wrong


def judge(task: Sent, tally: Tally) -> str | None:
    """Count one task; return what is wrong with its result, None where it is as intended."""
    result = task.result
    state, value = result.state, result.result
    if state not in states.READY_STATES:
        tally.lost += 1
        return f"no result, its state is {state}"
    intended = INTENDED.get(task.purpose)
    if intended is not None:
        tally.failed += isinstance(value, intended)
        return None if isinstance(value, intended) else f"{intended.__name__} was meant to come, not {value!r}"
    if state != states.SUCCESS:
        return f"{state}: {value!r}"
    tally.succeeded += 1
    done = result.date_done.timestamp() if result.date_done is not None else 0.0
    if task.killed is not None:
        tally.recovered.append(done - task.killed)
    if done < task.sent + task.delay:
        return f"it was to begin {task.delay} s after it was sent, and was done {done - task.sent:.1f} s after that"
    return None if is_true(task, value) else f"the result {value!r} is wrong"


def is_true(task: Sent, value: Any) -> bool:
    """Tell whether a result is what this process finds itself."""
    if task.task == "tasks.count_words":
        return bool(value == len(Path(task.path).read_text(encoding="utf-8").split()))
    if task.task == "tasks.checksum":
        return bool(value == hashlib.sha256(Path(task.path).read_bytes()).hexdigest())
    return value is not None


def report(tallies: dict[str, Tally], wrong: list[str], seconds: float) -> int:
    """Print the table and the last line; return the exit code."""
    console.print(table(tallies))
    sent, succeeded, failed, lost = (
        sum(getattr(tally, name) for tally in tallies.values()) for name in ("sent", "succeeded", "failed", "lost")
    )
    if wrong:
        say("\n".join(wrong), "red")
        say(f"demo failed: {len(wrong)} of {sent} tasks are not as they should be, {lost} lost", "bold red")
        return 1
    say(f"in {seconds:.0f} s", "dim")
    say(f"demo ok: {sent} tasks, {succeeded} succeeded, {failed} failed as intended, {lost} lost", "bold green")
    return 0


def table(tallies: dict[str, Tally]) -> Table:
    """Return the table of the end."""
    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("a task that …", no_wrap=True)
    for name in ("sent", "succeeded", "failed as intended", "lost"):
        shown.add_column(name, justify="right")
    shown.add_column("killed; done after")
    for purpose, tally in tallies.items():
        recovered = ", ".join(f"{seconds:.2f} s" for seconds in sorted(tally.recovered))
        numbers = (tally.sent, tally.succeeded, tally.failed, tally.lost)
        shown.add_row(purpose, *map(str, numbers), recovered)
    return shown


def wait(what: str, look: Callable[[], T | None], deadline: float) -> T:
    """Look until there is something, and return it."""
    while not (found := look()):
        if time.monotonic() > deadline:
            raise DemoFailed(f"waited too long for {what}")
        time.sleep(0.05)
    return found


def step(text: str) -> None:
    """Say what happens next."""
    say(f"· {text}")


def say(text: str, style: str = "") -> None:
    """Print some lines."""
    console.print(text, style=style, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
