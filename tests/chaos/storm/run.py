"""One storm, from the start of Redis to the verdict."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.storm.app import QUEUES
from tests.chaos.storm.faults import Faults
from tests.chaos.storm.fleet import DRAIN, Fleet, Place
from tests.chaos.storm.ledger import read
from tests.chaos.storm.leftovers import dead_letters, grown, left_in_redis, stored_states
from tests.chaos.storm.plan import make_plan
from tests.chaos.storm.recovery import Recoveries
from tests.chaos.storm.verdict import Verdict, judge
from tests.workers import Worker, until

from umbel import Umbel

#: Seconds for what is left when the storm is over: nobody may be dead for longer than a worker's recovery takes.
AFTERMATH = 120.0


@dataclass(frozen=True)
class Storm:
    """What is wanted: seconds of faults, the seed of plan and tasks, tasks a second, Redis's ``appendfsync``, and what
    the bounds on recoveries are multiplied with."""

    seconds: float
    seed: int
    rate: float
    fsync: str
    patience: float


@dataclass
class Outcome:
    """The verdict, the faults that were carried out, and how the supervisors have grown."""

    verdict: Verdict
    faults: dict[str, int]
    sizes: list[str]
    slowest_send: float
    waiters: tuple[int, int]


def ride(storm: Storm, tell: Callable[[str], None]) -> Outcome:
    """Run a storm.

    Args:
        storm: see there.
        tell: called with a sentence now and then.
    """
    folder = Path(tempfile.mkdtemp(prefix="umbel-storm-"))
    tell(f"seed {storm.seed}, logs and ledger in {folder}")
    fleet = Fleet(folder, storm.seed, storm.rate, storm.fsync)
    try:
        return _ride(storm, fleet, tell)
    finally:
        fleet.remove()


def _ride(storm: Storm, fleet: Fleet, tell: Callable[[str], None]) -> Outcome:
    fleet.start()
    recoveries = Recoveries(fleet.redis)
    recoveries.start()
    probes = _Probes(fleet)
    probes.start()
    began = time.monotonic()
    faults = Faults(fleet, recoveries, lambda text: tell(f"{time.monotonic() - began:6.1f} s  {text}"))
    for fault in make_plan(storm.seed, storm.seconds, durable=storm.fsync == "always"):
        faults.catch_up(began + fault.at)
        faults.carry_out(fault)
    faults.catch_up(began + storm.seconds)
    wrong = [said for said in (fleet.end_producer(),) if said]
    tell("the storm is over: waiting until all is quiet")
    faults.calm_down(time.monotonic() + AFTERMATH)
    probes.stop()
    app = Umbel("storm-watch", broker=fleet.redis.url, key_prefix=fleet.prefix)
    try:
        _wait_until_quiet(fleet, app, recoveries)
        sizes, too_large = grown(fleet)
        recoveries.stop()
        wrong += too_large + probes.wrong + _end(fleet)
        story = read(fleet.ledger)
        ids = set(story.began) | story.sent
        verdict = judge(story, dead_letters(app), stored_states(fleet, ids), recoveries.done, storm.patience)
        verdict.wrong += wrong + left_in_redis(fleet, app)
    finally:
        app.close()
    return Outcome(verdict, faults.done, sizes, story.slowest_send, (story.answered, story.unanswered))


def _wait_until_quiet(fleet: Fleet, app: Umbel, recoveries: Recoveries) -> None:
    """Have beat end, then wait until nothing is queued, delayed or held, and every death was dealt with."""
    fleet.wait_ready(60)
    fleet.beat.end()

    def quiet() -> bool:
        infos = [app.broker.info(queue) for queue in QUEUES]
        return not any(info.ready + info.delayed + info.in_flight for info in infos) and not recoveries.open()

    until(quiet, "all is done", AFTERMATH)


def _end(fleet: Fleet) -> list[str]:
    """End all workers; return what is wrong with how they did."""
    wrong = []
    for place in fleet.places:
        place.worker.process.terminate()
    for worker in [*(place.worker for place in fleet.places), *fleet.ended]:
        code = worker.process.wait(DRAIN + 30)
        # -9: killed by the storm; 69: Redis was away when it started.
        if code not in (0, -9, 69):
            wrong.append(f"{worker.hostname} ended with {code}: {worker.log.read_text(errors='replace')[-1000:]}")
        wrong += [f"{worker.hostname} says: {text}" for text in _tracebacks(worker)]
    return wrong


def _tracebacks(worker: Worker) -> list[str]:
    """Return the exceptions in a worker's log that are no task's."""
    found = [f"{event}" for event in worker.events() if "traceback" in event and event["event"] != "task.failure"]
    text = "\n" + worker.log.read_text(errors="replace")
    return found + [text[at : at + 1500] for at in [text.find("\nTraceback (most")] if at >= 0]


class _Probes:
    """Asks every worker each second whether it lives: it has to say so, whatever Redis or a task does.

    Once it may be late, where the machine is busy; a kubelet asks again as well.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.wrong: list[str] = []
        self._fleet = fleet
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stopped.wait(1.0):
            for place in self._fleet.places:
                worker = place.worker
                answers = [worker.probe("livez")] if self._is_in_peace(place, worker) else []
                if answers and answers[0][0] != 200 and not self._stopped.wait(1.0):
                    answers.append(worker.probe("livez"))
                if self._is_in_peace(place, worker) and len(answers) == 2 and answers[1][0] != 200:
                    self.wrong.append(f"{worker.hostname} is alive, and /livez says {answers}")

    def _is_in_peace(self, place: Place, worker: Worker) -> bool:
        """Return whether nothing is being done to a worker."""
        return worker is place.worker and not (place.frozen or place.leaving or place.absent)
