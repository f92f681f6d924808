"""What `umbel up` runs, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.up.running import POOL, RunningUp, wait
from tests.redis_server import RedisServer

from umbel import Umbel

QUICKSTART = Path(__file__).parents[3] / "manifests" / "samples" / "quickstart"


def test_the_quickstart_runs_its_schedule_and_ends_by_itself_with_a_summary(up: RunningUp) -> None:
    """Given the quickstart, when it may run for 18 s, then its tasks run, everything is ready, nothing is left."""
    up.start("--for", "18s", paths=(QUICKSTART,))

    assert up.wait_end() == 0

    for what in ("Broker default", "TaskQueue texts", "WorkerPool readers", "Schedule inventory"):
        assert up.find(f"umbel up . {what} is ready"), "\n".join(up.lines)
    assert up.find(r"readers-worker-\d . .*task.success task=tasks.inventory")
    assert up.find(r"umbel up ended after \d+ s; tasks: \d+ succeeded$")
    assert up.processes() == []
    assert list(up.tmp.iterdir()) == []


def test_a_producer_reaches_the_workers_by_the_printed_exports(up: RunningUp) -> None:
    up.start()
    with Umbel("producer", **up.broker()) as app:
        assert app.send_task("tasks.where", queue="texts").get(timeout=30) == "readers-worker-1"


def test_a_pod_sees_what_the_cluster_would_tell_it_and_nothing_of_the_shell(up: RunningUp) -> None:
    """Given variables of all sorts, when a task asks for its environment, then it has those of the container."""
    more = """\
  env:
    - {name: PLAIN, value: "from $(UMBEL_POOL)"}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: SECRET, valueFrom: {secretKeyRef: {name: keys, key: token}}}
  envFrom:
    - configMapRef: {name: shop}
  template:
    spec:
      volumes: [{name: data, configMap: {name: shop}}]
      containers:
        - name: worker
          env: [{name: DATA, value: /data/color}]
          volumeMounts: [{name: data, mountPath: /data}]
"""
    data = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {color: green}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: "1234"}
"""
    up.write(pool=POOL + more, data=data)
    up.start()
    with Umbel("producer", **up.broker()) as app:
        seen = app.send_task("tasks.environment", queue="texts").get(timeout=30)

        assert (seen["PLAIN"], seen["NODE"], seen["SECRET"]) == ("from readers", "localhost", "1234")
        assert seen["color"] == "green"
        assert Path(seen["DATA"]).read_text(encoding="utf-8") == "green"
        assert seen["UMBEL_POD_NAME"] == "readers-worker-1"
        assert seen["UMBEL_BROKER_URL"] == app.conf.broker_url
        assert Path(seen["TMPDIR"]).is_dir()
        assert Path(seen["TMPDIR"]).is_relative_to(up.tmp)


def test_ctrl_c_lets_running_tasks_finish_and_leaves_no_process_and_no_file(
    up: RunningUp, redis_server: RedisServer
) -> None:
    """Given a task that runs, when Ctrl-C comes, then it is finished first, and then everything is gone."""
    begun, gate = up.folder / "begun", up.folder / "gate"
    up.start("--redis-url", redis_server.url)
    with Umbel("producer", **up.broker()) as app:
        result = app.send_task("tasks.hold", [str(begun), str(gate)], queue="texts")
        wait("the task to run", begun.exists)

        up.signal(signal.SIGINT)
        up.wait_line("worker.draining")
        assert up.processes()
        gate.touch()

        assert up.wait_end() == 0
        assert result.get(timeout=30) == "held"
    assert up.find(r"umbel up . ending 2 pods")
    assert up.processes() == []
    assert list(up.tmp.iterdir()) == []


def test_a_second_ctrl_c_gives_the_running_task_back_at_once(up: RunningUp, redis_server: RedisServer) -> None:
    begun, gate = up.folder / "begun", up.folder / "gate"
    up.start("--redis-url", redis_server.url)
    with Umbel("producer", **up.broker()) as app:
        before = app.broker.info("texts")
        app.send_task("tasks.hold", [str(begun), str(gate)], queue="texts")
        wait("the task to run", begun.exists)

        up.signal(signal.SIGINT)
        up.wait_line("worker.draining")
        up.signal(signal.SIGINT)

        assert up.wait_end() == 0
        after = app.broker.info("texts")
        assert (after.ready, after.in_flight) == (before.ready + 1, 0)
        app.control.purge(["texts"])
    assert up.processes() == []
    assert list(up.tmp.iterdir()) == []


def test_nothing_runs_on_when_umbel_up_itself_is_killed(up: RunningUp) -> None:
    up.start()
    up.wait_line("WorkerPool readers is ready")
    assert up.processes()

    up.signal(signal.SIGKILL)
    up.wait_end()

    wait("all processes to be gone", lambda: not up.processes())
    (left,) = up.tmp.iterdir()

    up.start("--for", "1s")
    up.wait_end()
    assert not left.exists(), "the next umbel up removes what a killed one left"
    assert list(up.tmp.iterdir()) == []


def test_a_worker_that_is_killed_starts_again_under_its_name(up: RunningUp) -> None:
    up.start()
    up.wait_line("WorkerPool readers is ready")
    with Umbel("producer", **up.broker()) as app:
        (stats,) = app.control.inspect(timeout=20.0).stats().values()
        os.kill(int(stats["worker"].split(":")[1]), signal.SIGKILL)

        up.wait_line(r"readers-worker-1 . was killed by SIGKILL; tried again in 0.5 s")
        assert app.send_task("tasks.where", queue="texts").get(timeout=30) == "readers-worker-1"


def test_the_redis_that_dies_comes_back_with_its_tasks(up: RunningUp) -> None:
    """Given tasks that wait, when the Redis is killed, then it starts again and they are done."""
    up.write(pool=POOL.replace("replicas: 1", "replicas: 0"))
    up.start()
    with Umbel("producer", **up.broker()) as app:
        up.wait_line("TaskQueue texts is ready")
        result = app.send_task("tasks.where", queue="texts")
        os.kill(up.redis(), signal.SIGTERM)

        up.wait_line("the Redis server ended")
        up.write(pool=POOL)
        assert result.get(timeout=60) == "readers-worker-1"


@pytest.mark.timeout(150)
def test_the_demo_loses_nothing() -> None:
    """Given nothing but this Python, when the demo runs, then it ends well within a minute."""
    done = subprocess.run(
        [sys.executable, str(QUICKSTART / "demo.py")], capture_output=True, text=True, timeout=90, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("demo ok: 264 tasks, 259 succeeded, 5 failed as intended, 0 lost"), last
