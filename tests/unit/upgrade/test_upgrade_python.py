"""What `umbel upgrade celery` makes of Python that was written for Celery."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from umbel.upgrade.finding import Kind
from umbel.upgrade.run import Upgrade, upgrade


def _project(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return root


def _after(found: Upgrade, path: str) -> str:
    return found.changed[path][1]


def _one(root: Path, text: str) -> str:
    """Return what one module becomes; itself, if nothing is changed."""
    _project(root, module=text)
    found = upgrade(root)
    return found.changed.get("module.py", ("", textwrap.dedent(text)))[1]


def _said(found: Upgrade, kind: Kind) -> list[str]:
    return [f"{finding.what}: {finding.why}" for finding in found.of(kind)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from celery import Celery\napp = Celery('x')\n", "from umbel import Umbel\napp = Umbel('x')\n"),
        ("from celery import Celery as C\napp = C('x')\n", "from umbel import Umbel as C\napp = C('x')\n"),
        ("from celery import Task, shared_task  # both\n", "from umbel import Task, shared_task  # both\n"),
        ("from celery.result import AsyncResult\n", "from umbel import AsyncResult\n"),
        ("from celery.exceptions import Retry, CeleryError\n", "from umbel.errors import Retry, UmbelError\n"),
        ("from celery.schedules import crontab\n", "from umbel.schedules import crontab\n"),
        ("from celery.utils.log import get_task_logger\n", "from umbel import get_task_logger\n"),
        ("from celery.signals import worker_process_init\n", "from umbel.signals import worker_process_init\n"),
        ("from celery import states\n", "from umbel import states\n"),
        ("from celery import current_app, schedules\n", "from umbel import current_app, schedules\n"),
        (
            "from celery.decorators import task\n\n@task\ndef f(): ...\n",
            "from umbel import shared_task as task\n\n@task\ndef f(): ...\n",
        ),
        ("from kombu.exceptions import OperationalError\n", "from umbel.errors import OperationalError\n"),
        ("from kombu.common import Broadcast\n", "from umbel import Broadcast\n"),
        ("from celery.utils.nodenames import worker_direct\n", "from umbel import worker_direct\n"),
        ("import celery.states as states\n", "import umbel.states as states\n"),
        ("import celery.states\nx = celery.states.SUCCESS\n", "import umbel.states\nx = umbel.states.SUCCESS\n"),
        ("import celery\napp = celery.Celery('x')\n", "import umbel\napp = umbel.Umbel('x')\n"),
    ],
)
def test_imports(tmp_path: Path, before: str, after: str) -> None:
    assert _one(tmp_path, before) == after


@pytest.mark.parametrize(
    "text",
    [
        "from .celery import app\n",
        "from project.celery import app as celery_app\n",
        "def celery(): ...\n\ncelery()\n",
        "from celery import bootsteps\n",
        "from celery.app.amqp import AMQP\n",
        "from celery import *\n",
        "'celery.Celery'\n",
    ],
)
def test_what_it_does_not_understand_stays(tmp_path: Path, text: str) -> None:
    assert _one(tmp_path, text) == text


def test_what_has_no_counterpart_stays_and_is_told_with_a_reason(tmp_path: Path) -> None:
    _project(tmp_path, module="from celery import Celery, bootsteps\n")
    found = upgrade(tmp_path)
    assert _after(found, "module.py") == "from umbel import Umbel\nfrom celery import bootsteps\n"
    (said,) = _said(found, Kind.NOT_OFFERED)
    assert said.startswith("celery.bootsteps: the parts of a worker cannot be replaced")


def test_a_name_that_is_taken_is_imported_as_the_old_one(tmp_path: Path) -> None:
    after = _one(tmp_path, "from celery import Celery\n\nclass Umbel: ...\n\napp = Celery('x')\n")
    assert after == "from umbel import Umbel as Celery\n\nclass Umbel: ...\n\napp = Celery('x')\n"


def test_a_local_name_of_the_same_spelling_is_left_alone(tmp_path: Path) -> None:
    after = _one(
        tmp_path,
        """\
        from celery import Celery

        celery = Celery("x")

        def f(Celery):
            return Celery, celery.conf
        """,
    )
    assert 'celery = Umbel("x")' in after
    assert "def f(Celery):\n    return Celery, celery.conf" in after


# Settings


def test_old_names_of_settings_become_new_ones_in_a_module_of_settings(tmp_path: Path) -> None:
    _project(
        tmp_path,
        proj__app="from celery import Celery\napp = Celery('x')\napp.config_from_object('proj.conf_of_celery')\n",
        proj__conf_of_celery="""\
        BROKER_URL = 'redis://h/0'
        CELERYD_CONCURRENCY = 2
        CELERY_TASK_RESULT_EXPIRES = 60
        CELERYBEAT_SCHEDULE = {}
        """,
    )
    assert _after(upgrade(tmp_path), "proj/conf_of_celery.py") == (
        "broker_url = 'redis://h/0'\nworker_concurrency = 2\nresult_expires = 60\nbeat_schedule = {}\n"
    )


def test_settings_of_django_keep_their_prefix(tmp_path: Path) -> None:
    _project(
        tmp_path,
        proj__celery="""\
        from celery import Celery

        app = Celery('x')
        app.config_from_object('django.conf:settings', namespace='CELERY')
        """,
        proj__settings="CELERY_BROKER_URL = 'redis://h/0'\nCELERYD_CONCURRENCY = 2\nCELERY_ALWAYS_EAGER = True\nDEBUG = True\n",
    )
    assert _after(upgrade(tmp_path), "proj/settings.py") == (
        "CELERY_BROKER_URL = 'redis://h/0'\nCELERY_WORKER_CONCURRENCY = 2\nCELERY_TASK_ALWAYS_EAGER = True\nDEBUG = True\n"
    )


def test_a_setting_without_effect_becomes_a_comment(tmp_path: Path) -> None:
    _project(
        tmp_path,
        celeryconfig="""\
        broker_url = "redis://h/0"
        broker_transport_options = {
            "visibility_timeout": 3600,
        }
        timezone = "UTC"
        """,
    )
    assert _after(upgrade(tmp_path), "celeryconfig.py") == (
        'broker_url = "redis://h/0"\n# broker_transport_options = {\n#     "visibility_timeout": 3600,\n# }\ntimezone = "UTC"\n'
    )


def test_a_class_of_which_nothing_is_left_stays_a_class(tmp_path: Path) -> None:
    after = _one(tmp_path, "# of celery\nclass Config:\n    BROKER_HEARTBEAT = 3\n")
    assert after == "# of celery\nclass Config:\n    # BROKER_HEARTBEAT = 3\n    pass\n"


def test_a_setting_that_is_used_elsewhere_is_left_to_a_person(tmp_path: Path) -> None:
    _project(
        tmp_path, celeryconfig="broker_heartbeat = 3\n", other="from celeryconfig import broker_heartbeat\n# celery\n"
    )
    found = upgrade(tmp_path)
    assert not found.changed
    assert "broker_heartbeat: has no effect" in _said(found, Kind.BY_HAND)[0]


def test_settings_that_the_app_is_made_with_and_updated_by(tmp_path: Path) -> None:
    after = _one(
        tmp_path,
        """\
        from celery import Celery

        app = Celery("x", broker="redis://h/0", task_track_started=True, broker_heartbeat=10)
        app.conf.update(
            result_expires=60,
            CELERYD_CONCURRENCY=3,
            broker_heartbeat=10,
        )
        app.conf.CELERY_TIMEZONE = "Europe/Oslo"
        app.conf["CELERY_ENABLE_UTC"] = True
        """,
    )
    assert after == textwrap.dedent(
        """\
        from umbel import Umbel

        app = Umbel("x", broker="redis://h/0", task_track_started=True)
        app.conf.update(
            result_expires=60,
            worker_concurrency=3,
        )
        app.conf.timezone = "Europe/Oslo"
        app.conf["enable_utc"] = True
        """
    )


def test_the_settings_of_flask_are_told_by_their_prefix(tmp_path: Path) -> None:
    after = _one(
        tmp_path,
        """\
        from celery import Celery
        from flask import Flask

        app = Flask(__name__)
        app.config["CELERY_BROKER_URL"] = "redis://h/0"
        app.config["CELERY_TASK_RESULT_EXPIRES"] = 5
        celery = Celery(app.name)
        celery.conf.update(app.config)
        """,
    )
    assert 'app.config["CELERY_RESULT_EXPIRES"] = 5' in after
    assert 'celery.config_from_object(app.config, namespace="CELERY")' in after


def test_queues_of_kombu_become_names(tmp_path: Path) -> None:
    _project(
        tmp_path,
        celeryconfig="""\
        from kombu import Queue

        task_queues = (
            Queue("default"),  # the first
            Queue("mail", routing_key="mail"),
        )
        """,
    )
    assert _after(upgrade(tmp_path), "celeryconfig.py") == textwrap.dedent(
        """\

        task_queues = (
            "default",  # the first
            "mail",
        )
        """
    )


def test_broadcast_queues_stay_what_they_are(tmp_path: Path) -> None:
    _project(
        tmp_path,
        celeryconfig="""\
        from kombu import Queue
        from kombu.common import Broadcast

        task_queues = [Queue("default"), Broadcast("caches")]
        worker_direct = True
        """,
    )
    found = upgrade(tmp_path)
    assert _after(found, "celeryconfig.py") == textwrap.dedent(
        """\
        from umbel import Broadcast

        task_queues = ["default", Broadcast("caches")]
        worker_direct = True
        """
    )
    assert not found.of(Kind.NOT_OFFERED)
    assert not found.of(Kind.BY_HAND)


def test_queues_with_exchanges_are_left_to_a_person(tmp_path: Path) -> None:
    _project(tmp_path, celeryconfig="from kombu import Exchange, Queue\n\ntask_queues = [Queue('a', Exchange('x'))]\n")
    found = upgrade(tmp_path)
    assert not found.changed
    assert "there are no exchanges" in "\n".join(_said(found, Kind.NOT_OFFERED))


def test_values_that_umbel_does_not_take_are_told(tmp_path: Path) -> None:
    _project(
        tmp_path,
        celeryconfig="broker_url = 'amqp://h'\nresult_backend = ('redis://h/0',)\ntask_time_limit = -1\n",
        app="from celery import Celery\napp = Celery('x', broker='amqp://h')\n",
    )
    said = "\n".join(_said(upgrade(tmp_path), Kind.BY_HAND))
    assert said.count("Umbel speaks to Redis") == 2
    assert "a comma too many" in said
    assert "task_time_limit = -1: give seconds" in said


# Options of tasks and calls


def test_options_without_meaning_are_taken_out_and_unknown_ones_told(tmp_path: Path) -> None:
    _project(
        tmp_path,
        module="""\
        from celery import Celery, shared_task

        app = Celery("x")

        @app.task(bind=True, reject_on_worker_lost=True, acks_late=True)
        def f(self, x):
            self.request.nothing_of_it
            self.apply_async((x,), retry=True, retry_policy={"max_retries": 1})

        @shared_task(exchange="e", priority=3)
        def g(): ...

        g.apply_async(
            countdown=3,
            routing_key="k",
        )
        app.no_such_thing()
        """,
    )
    found = upgrade(tmp_path)
    after = _after(found, "module.py")
    assert "@app.task(bind=True, acks_late=True)" in after
    assert "self.apply_async((x,))" in after
    refused = "\n".join(_said(found, Kind.NOT_OFFERED))
    for name in ('exchange="e"', 'routing_key="k"', "self.request.nothing_of_it", "app.no_such_thing"):
        assert name in refused
    assert any(said.startswith("priority=3: 9 is served first") for said in _said(found, Kind.BY_HAND))


# The whole


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    _project(
        tmp_path,
        app="from celery import Celery\napp = Celery('x')\napp.conf.update(CELERY_TIMEZONE='UTC', broker_heartbeat=3)\n",
        celeryconfig="BROKER_URL = 'redis://h/0'\nbroker_pool_limit = 3\n",
    )
    first = upgrade(tmp_path)
    assert len(first.changed) == 2
    first.write()
    assert upgrade(tmp_path).changed == {}


def test_writing_keeps_copies_modes_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_bytes("# Grüße\r\nfrom celery import Task\r\n".encode())
    path.chmod(0o755)
    kept = upgrade(tmp_path).write()
    assert path.read_bytes() == "# Grüße\r\nfrom umbel import Task\r\n".encode()
    assert path.stat().st_mode & 0o777 == 0o755
    assert [copy.name for copy in kept] == ["module.py.umbel-backup"]
    assert kept[0].read_bytes() == "# Grüße\r\nfrom celery import Task\r\n".encode()


def test_a_copy_that_is_there_already_is_kept(tmp_path: Path) -> None:
    _project(tmp_path, module="from celery import Task\n")
    (tmp_path / "module.py.umbel-backup").write_text("the first one")
    assert upgrade(tmp_path).write() == []
    assert (tmp_path / "module.py.umbel-backup").read_text() == "the first one"


def test_a_file_that_is_no_python_is_told_and_left(tmp_path: Path) -> None:
    _project(tmp_path, module="from celery import task\nprint 'of Python 2'\n")
    found = upgrade(tmp_path)
    assert not found.changed
    assert _said(found, Kind.BY_HAND) == ["not Python 3: left as it is"]


def test_environments_and_hidden_folders_are_passed_over(tmp_path: Path) -> None:
    _project(tmp_path, mine__pyvenv="", node_modules__x="from celery import Task\n")
    (tmp_path / "mine/pyvenv.cfg").touch()
    (tmp_path / "mine/lib.py").write_text("from celery import Task\n")
    assert not upgrade(tmp_path).changed
