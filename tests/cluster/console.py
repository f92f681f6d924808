"""Python in a pod that is no worker: it sends tasks, and reads what became of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.cluster.kubectl import Kubectl, wait


class Console:
    """Run Python beside the tasks, in the pod of the Deployment `console`."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl

    def run(self, code: str) -> Any:
        """Run code that ends with printing JSON."""
        # By the Deployment, not by a pod's name: a node may have been drained since.
        command = ["exec", "deployment/console", "--", "python3", "-c", f"import json\nfrom tasks import *\n{code}"]
        return json.loads(self._kubectl(*command).splitlines()[-1])

    def send(self, seconds: float, count: int = 1, queue: str = "crew") -> list[str]:
        """Send tasks that take so long; return their ids."""
        one = f"doze.apply_async(args=[{seconds}], queue={queue!r}).id"
        return self.run(f"print(json.dumps([{one} for _ in range({count})]))")

    def stay(self, run: str, seconds: float, count: int = 1) -> list[str]:
        """Send tasks that note where and when they begin, to the queue of the run's name; return their ids."""
        one = f"stay.apply_async(args=[{run!r}, {seconds}], queue={run!r}).id"
        return self.run(f"print(json.dumps([{one} for _ in range({count})]))")

    def states(self, ids: Sequence[str]) -> list[str]:
        """Read the states of tasks."""
        return self.run(f"print(json.dumps([app.AsyncResult(i).state for i in {list(ids)!r}]))")

    def results(self, ids: Sequence[str], seconds: float) -> list[Any]:
        """Wait for the results of tasks."""
        return self.run(f"print(json.dumps([app.AsyncResult(i).get(timeout={seconds}) for i in {list(ids)!r}]))")

    def started(self, ids: Sequence[str], seconds: float = 30) -> None:
        """Wait until all tasks run."""
        wait("the tasks to start", lambda: set(self.states(ids)) == {"STARTED"} or None, seconds)

    def starts(self, run: str) -> list[tuple[float, str]]:
        """Read when each run of the tasks `stay` of this name began, by the clock of Redis, and in which pod."""
        return [(at, pod) for at, pod in self.run(f"print(json.dumps(starts_of({run!r})))")]

    def last_alive(self, run: str, pod: str) -> float:
        """Read when a task `stay` of this name last said that it lives in a pod, by the clock of Redis."""
        return float(self.run(f"print(json.dumps(marks().hget('alive:{run}', {pod!r})))"))

    def redis_time(self) -> float:
        """Read the clock of Redis, in seconds."""
        return float(self.run("print(json.dumps(redis_time()))"))
