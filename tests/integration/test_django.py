"""A Django project: its apps are set up before tasks are imported, and tasks can wait for a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli_project import Project, wait_until
from tests.redis_server import RedisServer

SETTINGS = """
SECRET_KEY = "x"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3", "CONN_MAX_AGE": 0}}
CELERY_TASK_DEFAULT_QUEUE = "mail"
"""
APP = """
import os

from umbel import Umbel

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
app = Umbel("site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""
TASKS = """
from django.contrib.auth.models import User  # needs the apps to be ready
from django.db import connection

from umbel import shared_task


@shared_task
def count():
    return User.objects.count()


@shared_task
def is_fresh():
    return connection.connection is None
"""
CALLS = """
import django
from site_app import app

django.setup()
from django.contrib.auth.models import User
from django.db import transaction
from shop.tasks import count

with transaction.atomic():
    User.objects.create_user("ada")
    inside = count.delay_on_commit()
    print(inside.state)
print(inside.get(timeout=60))

try:
    with transaction.atomic():
        never = count.apply_async_on_commit(countdown=0)
        raise ValueError
except ValueError:
    print(app.broker.info("mail").ready, never.state)

try:
    count.delay_on_commit("too", "many")
except TypeError as error:
    print(error)
print(count.delay_on_commit().get(timeout=60))
"""


@pytest.fixture
def project(tmp_path: Path, redis_server: RedisServer, prefix: str) -> Iterator[Project]:
    project = Project(tmp_path, redis_server.url, prefix)
    (tmp_path / "tasks.py").unlink()
    (tmp_path / "shop").mkdir()
    for name, text in (("site_settings", SETTINGS), ("site_app", APP), ("shop/tasks", TASKS), ("shop/__init__", "")):
        (tmp_path / f"{name}.py").write_text(text)
    yield project
    project.stop()


def test_tasks_of_installed_apps_run_and_wait_for_the_commit(project: Project) -> None:
    project.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
    project.python("-m", "django", "migrate", "--pythonpath", ".", "-v", "0")
    del project.environ["DJANGO_SETTINGS_MODULE"]
    report = project.run("-A", "site_app", "report").stdout
    assert "shop.tasks.count" in report
    assert "task_default_queue: 'mail'" in report
    project.start_worker("-c", "1", options=("-A", "site_app"))
    wait_until(lambda: project.try_run("status").returncode == 0)
    lines = project.python("-c", CALLS).splitlines()
    assert lines[:3] == ["PENDING", "1", "0 PENDING"]
    assert "cannot be called like this" in lines[3]
    assert lines[4] == "1"
    fresh = project.run("-A", "site_app", "call", "shop.tasks.is_fresh").stdout.strip()
    assert project.run("result", fresh, "--wait", "60").stdout.strip() == "true"


def test_without_django_packages_have_to_be_named(project: Project) -> None:
    (project.folder / "plain.py").write_text("from umbel import Umbel\napp = Umbel('x')\napp.autodiscover_tasks()\n")
    assert "DJANGO_SETTINGS_MODULE is not set" in project.error("-A", "plain", "report", code=2)


def test_settings_that_a_test_overrides_are_seen(project: Project) -> None:
    program = """
import site_app
from django.test import override_settings

app = site_app.app
print(app.conf.task_always_eager)
with override_settings(CELERY_TASK_ALWAYS_EAGER=True, CELERY_TASK_DEFAULT_QUEUE="other"):
    print(app.conf.task_always_eager, app.conf.task_default_queue)
print(app.conf.task_always_eager, app.conf.task_default_queue)
"""
    assert project.python("-c", program).splitlines() == ["False", "True other", "False mail"]
