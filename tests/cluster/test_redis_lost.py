"""Redis away, then back without its data, and Redis emptied: definitions are safe, and conditions say what is so."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import broker, pool, producer, queue, redis, schedule

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture
def run() -> str:
    return uuid4().hex


@pytest.fixture
def own(bare: Kubectl, operator: Kubectl, run: str) -> Kubectl:
    """Make a namespace with a Redis of its own, a Schedule, its pool, and a queue that is held."""
    stamps = schedule("stamps", "mail")
    stamps["spec"]["task"] = {"name": "tasks.stamp", "args": [run, "by schedule"]}
    bare.apply(*redis(), broker(), queue("mail"), queue("frozen", dispatch="Held"))
    bare.apply(pool("mailers", "mail", "frozen"), stamps, producer("console", "-", script="console.py"))
    for kind, name in (("broker", "default"), ("workerpool", "mailers"), ("schedule", "stamps")):
        bare.wait_condition(kind, name, "Ready", "True")
    bare.running("app=console", 1)
    return bare


def stamped(console: Console, run: str, word: str) -> int:
    """Count the runs that left this word."""
    try:
        return sum(seen == word for _, _, seen in console.run(f"print(json.dumps(starts_of({run!r})))"))
    except AssertionError as error:
        if "ConnectionError" in str(error):
            return 0  # a new Redis is a moment behind its own name
        raise


def works(kubectl: Kubectl, console: Console, run: str) -> None:
    """See that all is as it is defined: the Schedule fires, its task runs, and the held queue holds."""
    wait("runs by the Schedule", lambda: stamped(console, run, "by schedule") > 1 or None)
    console.run(f"print(json.dumps(stamp.apply_async(args=[{run!r}, 'held'], queue='frozen').id))")
    more = stamped(console, run, "by schedule") + 2
    wait("further runs", lambda: stamped(console, run, "by schedule") > more or None)
    assert stamped(console, run, "held") == 0
    kubectl("patch", "taskqueue/frozen", "--type=merge", "-p", json.dumps({"spec": {"dispatch": "Enabled"}}))
    wait("the held task to run", lambda: stamped(console, run, "held") == 1 or None)
    for kind, name in (("broker", "default"), ("taskqueue", "mail"), ("workerpool", "mailers"), ("schedule", "stamps")):
        kubectl.wait_condition(kind, name, "Ready", "True")


def test_a_redis_that_comes_back_empty_is_told_of_and_found_anew(own: Kubectl, run: str) -> None:
    console = Console(own)
    wait("a first run", lambda: stamped(console, run, "by schedule") > 0 or None)
    own("scale", "deployment/redis", "--replicas=0")
    own.wait_condition("broker", "default", "Reachable", "False", "ConnectionRefused")
    own.wait_condition("broker", "default", "Ready", "False")
    own("scale", "deployment/redis", "--replicas=1")
    own.running("app=redis", 1)
    own.wait_condition("broker", "default", "Reachable", "True", "Connected")
    works(own, console, run)
    restarts = [
        s["restartCount"]
        for pod in own.list_all("pods", "umbel.dev/broker")
        for s in pod["status"]["containerStatuses"]
    ]
    assert set(restarts) == {0}, "an outage of Redis is no reason to restart anything"


def test_a_redis_that_is_emptied_gets_its_settings_and_schedules_back(own: Kubectl, run: str) -> None:
    console = Console(own)
    wait("a first run", lambda: stamped(console, run, "by schedule") > 0 or None)
    console.run("print(json.dumps(marks().flushall()))")
    works(own, console, run)
    assert own.condition("broker", "default", "Reachable")["status"] == "True"
