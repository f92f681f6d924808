"""Declare a queue, a pool and a schedule, and watch tasks run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import pool, producer, queue, schedule

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def mail(shop: Kubectl) -> Iterator[Kubectl]:
    """A queue with a pool and a schedule that sends every two seconds, all at work."""
    shop.apply(queue("mail"), pool("mailers", "mail"), schedule("heartbeat", "mail"))
    yield shop
    shop("delete", "schedule/heartbeat", "workerpool/mailers", "taskqueue/mail", "--wait=false")


def test_beat_and_workers_run_and_every_condition_says_so(mail: Kubectl) -> None:
    mail.wait_condition("workerpool", "mailers", "Ready", "True", "Ready")
    mail.wait_condition("taskqueue", "mail", "Ready", "True", "Ready")
    mail.wait_condition("taskqueue", "mail", "Consumed", "True", "ConsumersPresent")
    mail.wait_condition("schedule", "heartbeat", "Ready", "True", "Scheduled")
    mail.wait_condition("broker", "default", "Reachable", "True", "Connected")
    mail.wait_condition("broker", "default", "BeatAvailable", "True", "BeatReady")
    mail.wait_condition("broker", "default", "ConfigLoaded", "True", "Loaded")
    for selector in ("umbel.dev/component=beat", "umbel.dev/pool=mailers,umbel.dev/component=worker"):
        (pod,) = mail.running(selector, 1)
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert all(status["restartCount"] == 0 for status in pod["status"]["containerStatuses"])


def test_a_scheduled_task_succeeds_and_its_result_can_be_read(mail: Kubectl) -> None:
    def task_id() -> str | None:
        status = (mail.get("schedule", "heartbeat") or {}).get("status") or {}
        return status.get("lastTaskID") if status.get("lastSuccessfulTime") else None

    found = wait("status.lastSuccessfulTime of schedule/heartbeat", task_id, 120)
    mail.apply(producer("reader", "mail"))
    (pod,) = mail.running("app=reader", 1)
    code = f"from tasks import app; print(app.AsyncResult({found!r}).get(timeout=60))"
    assert mail("exec", pod["metadata"]["name"], "--", "python3", "-c", code).strip() == "tock"
    mail("delete", "deployment/reader", "--wait=false")


def test_a_deployment_that_is_no_worker_sends_a_task_and_gets_its_result(mail: Kubectl) -> None:
    mail.apply(producer("outsider", "mail"))
    (pod,) = mail.running("app=outsider", 1)

    def result() -> str | None:
        lines = mail("logs", pod["metadata"]["name"]).splitlines()
        return next((line for line in lines if line.startswith("result")), None)

    assert wait("a result in the producer's log", result, 120) == "result 5"
    mail("delete", "deployment/outsider", "--wait=false")


def test_kubectl_get_shows_the_true_numbers(mail: Kubectl) -> None:
    mail.apply(queue("parked"), producer("filler", "parked"))
    try:
        mail.running("app=filler", 1)
        mail.wait_condition("taskqueue", "parked", "Consumed", "False", "NoWorkerPool")
        wait("one waiting task", lambda: mail.table("taskqueues")["parked"]["READY-TASKS"] == "1" or None, 120)
        mail.wait_condition("workerpool", "mailers", "Ready", "True")
        row = mail.table("workerpools")["mailers"]
        shown = {name: row[name] for name in ("QUEUES", "DESIRED", "CURRENT", "AVAILABLE", "READY")}
        assert shown == {"QUEUES": "mail", "DESIRED": "1", "CURRENT": "1", "AVAILABLE": "1", "READY": "True"}
        row = mail.table("brokers")["default"]
        assert (row["MODE"], row["BEAT"], row["READY"]) == ("Standalone", "1", "True")
        assert int(row["SCHEDULES"]) == len(mail.list_all("schedules"))
        row = mail.table("schedules")["heartbeat"]
        assert (row["QUEUE"], row["TASK"], row["READY"]) == ("mail", "tasks.tick", "True")
        assert mail.table("taskqueues")["mail"]["BROKER"] == "default"
    finally:
        mail("delete", "deployment/filler", "taskqueue/parked", "--wait=false")


def test_an_edited_schedule_reaches_beat_within_seconds(mail: Kubectl) -> None:
    mail.apply(schedule("edited", "mail"))
    mail.wait_condition("schedule", "edited", "Loaded", "True", "Loaded")
    mail.apply(schedule("edited", "mail", suspend=True))
    found = mail.wait_condition("schedule", "edited", "Loaded", "True", "Loaded", seconds=15)
    assert "generation 2" in found["message"]
    mail.wait_condition("schedule", "edited", "Ready", "False", "Suspended")
    mail("delete", "schedule/edited")


def test_a_schedule_runs_once_by_an_annotation(mail: Kubectl) -> None:
    never = {"type": "Cron", "cron": {"expression": "0 0 29 2 *"}}
    mail.apply(schedule("manual", "mail", trigger=never))
    mail.wait_condition("schedule", "manual", "Loaded", "True", "Loaded")
    mail("annotate", "schedule/manual", "umbel.dev/trigger=please")

    def handled() -> bool | None:
        status: dict[str, Any] = (mail.get("schedule", "manual") or {}).get("status") or {}
        return True if status.get("lastHandledTrigger") == "please" and status.get("lastSuccessfulTime") else None

    wait("the manual run of schedule/manual", handled, 120, seen=lambda: mail.get("schedule", "manual"))
    mail("delete", "schedule/manual")
