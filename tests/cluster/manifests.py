"""What the tests put into the cluster, as plain objects."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.cluster.kubectl import IMAGE, REDIS_IMAGE

API = "umbel.dev/v1alpha1"
USER = 65532

CLASS_LABEL = "umbel.dev/operator-class"
#: The operator under test serves this class alone, so that one which the cluster has already is not in its way.
OPERATOR_CLASS = f"test-{uuid4().hex[:6]}"

TASKS = '''
"""The tasks of the tests; a ConfigMap carries them into the pods."""
import json
import os
import time

import redis
from umbel import Umbel

app = Umbel("shop")


@app.task
def count_words(text):
    return len(text.split())


@app.task(track_started=True)
def doze(seconds):
    """Take a while, and tell which pod it took it in."""
    time.sleep(seconds)
    return os.environ["UMBEL_POD_NAME"]


@app.task
def tick():
    return "tock"


def marks():
    """Connect to a part of Redis that Umbel knows nothing of: what is noted there is no word of its own about itself."""
    return redis.Redis(host="redis", db=1, decode_responses=True)


def redis_time():
    seconds, micros = marks().time()
    return seconds + micros / 1e6


@app.task(ignore_result=True)
def mark(run, number, seconds):
    """Take a while, and note that this number began, and that it was done."""
    marks().hincrby(f"begun:{run}", number, 1)
    time.sleep(seconds)
    marks().hincrby(f"done:{run}", number, 1)


@app.task(track_started=True)
def stay(run, seconds):
    """Note when and where it began, and take a while; all the time, note that it is alive."""
    note(f"starts:{run}")
    until, notes, pod = time.monotonic() + seconds, marks(), os.environ["UMBEL_POD_NAME"]
    while time.monotonic() < until:
        now, micros = notes.time()
        notes.hset(f"alive:{run}", pod, now + micros / 1e6)
        time.sleep(0.2)
    return pod


@app.task
def stamp(run, word):
    """Note when and where it ran, and a word."""
    note(f"starts:{run}", word)


def note(key, *words):
    marks().rpush(key, json.dumps([redis_time(), os.environ.get("UMBEL_POD_NAME"), *words]))


def starts_of(run):
    return [json.loads(one) for one in marks().lrange(f"starts:{run}", 0, -1)]
'''

CONSOLE = """
import time

while True:
    time.sleep(3600)
"""

PRODUCER = '''
"""Send tasks from a pod that is no worker, and print what comes back."""
import sys
import time

from tasks import count_words

deadline = time.monotonic() + 120
while True:
    try:
        result = count_words.apply_async(args=["five words sent from outside"], queue=sys.argv[1])
        print("result", result.get(timeout=60), flush=True)
        break
    except Exception as error:
        print("failed", type(error).__name__, error, flush=True)
        if time.monotonic() > deadline:
            raise
        time.sleep(1)
while True:
    time.sleep(3600)
'''


def namespace(name: str) -> dict[str, Any]:
    """Make a namespace that admits only restricted pods."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "umbel.dev/test": "true"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Make one of our resources."""
    meta = {"name": name, "labels": {CLASS_LABEL: OPERATOR_CLASS}}
    return {"apiVersion": API, "kind": kind, "metadata": meta, "spec": spec}


def of_class(name: str, *resources: dict[str, Any]) -> list[dict[str, Any]]:
    """Give resources of ours to the operator of another class; others stay as they are."""
    labels = {CLASS_LABEL: name}
    return [
        {**obj, "metadata": {**obj["metadata"], "labels": labels}} if obj["apiVersion"] == API else obj
        for obj in resources
    ]


def broker(name: str = "default", address: str = "redis:6379", **connection: Any) -> dict[str, Any]:
    """Make a Broker."""
    return resource("Broker", name, {"connection": {"addresses": [address], **connection}})


def queue(name: str, **spec: Any) -> dict[str, Any]:
    """Make a TaskQueue."""
    return resource("TaskQueue", name, spec)


def pool(name: str, *queues: str, **spec: Any) -> dict[str, Any]:
    """Make a WorkerPool whose workers find the tasks in a ConfigMap."""
    template = {
        "spec": {
            "volumes": [{"name": "tasks", "configMap": {"name": "tasks"}}],
            "containers": [
                {
                    "name": "worker",
                    "env": [{"name": "PYTHONPATH", "value": "/tasks"}],
                    "volumeMounts": [{"name": "tasks", "mountPath": "/tasks"}],
                }
            ],
        }
    }
    # While pods remain, a namespace that is deleted looks again after half of their grace period only.
    drain = {"timeoutSeconds": 10}
    fields = {"app": "tasks:app", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "drain": drain}
    defaults = {**fields, "template": template}
    return resource("WorkerPool", name, {"queues": [{"name": q} for q in queues], **defaults, **spec})


def schedule(name: str, queue_name: str, task: str = "tasks.tick", **spec: Any) -> dict[str, Any]:
    """Make a Schedule; every two seconds unless a trigger is given."""
    every = {"type": "Interval", "interval": {"everySeconds": 2}}
    return resource(
        "Schedule", name, {"queueRef": {"name": queue_name}, "task": {"name": task}, "trigger": every, **spec}
    )


def code() -> dict[str, Any]:
    """Make the ConfigMap with the tasks and with what producers run."""
    return config_map("tasks", **{"tasks.py": TASKS, "producer.py": PRODUCER, "console.py": CONSOLE})


def config_map(name: str, **data: str) -> dict[str, Any]:
    """Make a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def redis(name: str = "redis", password: str | None = None) -> list[dict[str, Any]]:
    """Make a Redis: Deployment and Service."""
    args = ["--protected-mode", "no", "--save", "", "--dir", "/data"]
    args += ["--requirepass", password] if password is not None else []
    container = {
        "name": "redis",
        "image": REDIS_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["redis-server"],
        "args": args,
        "ports": [{"containerPort": 6379}],
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 6379}]},
    }
    return [deployment(name, container, volumes=[{"name": "data", "emptyDir": {}}]), service]


def producer(name: str, queue_name: str, script: str = "producer.py", broker_name: str = "default") -> dict[str, Any]:
    """Make a Deployment that is no worker: it finds the broker by envFrom, and sends (or waits for `kubectl exec`)."""
    container = {
        "name": "producer",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", f"/tasks/{script}", queue_name],
        "env": [{"name": "PYTHONPATH", "value": "/tasks"}],
        "envFrom": [{"configMapRef": {"name": f"{broker_name}-client"}}],
        "volumeMounts": [{"name": "tasks", "mountPath": "/tasks"}],
    }
    return deployment(name, container, volumes=[{"name": "tasks", "configMap": {"name": "tasks"}}])


def deployment(name: str, container: dict[str, Any], **pod: Any) -> dict[str, Any]:
    """Make a Deployment of one restricted container."""
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    spec = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 5,
        "containers": [{**container, "securityContext": context}],
        **pod,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }
