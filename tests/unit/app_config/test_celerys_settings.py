"""Every setting of Celery's acts, or is taken with a reason, or refused with what to do; from wherever it comes."""

from __future__ import annotations

import json
import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from tests.workers import ROOT

from umbel import Umbel
from umbel.celerysettings import ONLY, refusal
from umbel.config import Settings
from umbel.errors import ImproperlyConfigured, UmbelWarning
from umbel.settings import KNOWN, REFUSED, WITHOUT_EFFECT

CELERYS: list[str] = json.loads((ROOT / "tests/docs/celery_names.json").read_text())["areas"]["settings"]


@pytest.mark.parametrize("name", CELERYS)
def test_each_setting_has_an_answer(name: str) -> None:
    answers = [name in KNOWN, name in WITHOUT_EFFECT or name in ONLY, name in REFUSED or bool(refusal(name, "x"))]
    assert any(answers)


@pytest.mark.parametrize(
    ("name", "allowed"), [(name, allowed) for name, (values, _) in ONLY.items() for allowed in values]
)
def test_what_is_so_anyway_may_be_said(name: str, allowed: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Settings({}).update({name: allowed})


@pytest.mark.parametrize("name", ONLY)
def test_another_value_is_refused_with_what_to_do(name: str) -> None:
    wrong = not ONLY[name][0][0]
    with pytest.raises(ImproperlyConfigured, match=f"the setting {name} in the code cannot be {wrong}"):
        Settings({}).update({name: wrong})


def test_settings_of_other_backends_are_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="no such result backend"):
        Settings({}).update(cassandra_servers=["a"])


# Old, upper-case names

OLD = {
    "BROKER_URL": ("broker_url", "memory://old"),
    "CELERY_RESULT_BACKEND": ("result_backend", "memory://old"),
    "CELERY_TASK_SERIALIZER": ("task_serializer", "json"),
    "CELERY_ACCEPT_CONTENT": ("accept_content", ("json",)),
    "CELERY_DEFAULT_QUEUE": ("task_default_queue", "old"),
    "CELERYD_CONCURRENCY": ("worker_concurrency", 3),
    "CELERYD_TASK_TIME_LIMIT": ("task_time_limit", 60.0),
    "CELERY_TASK_RESULT_EXPIRES": ("result_expires", 9.0),
    "CELERYBEAT_SCHEDULE": ("beat_schedule", {}),
    "CELERY_TIMEZONE": ("timezone", "Europe/Oslo"),
}


@pytest.fixture
def old_module() -> types.ModuleType:
    module = types.ModuleType("old_settings")
    module.__dict__.update({name: value for name, (_, value) in OLD.items()}, DEBUG=True, DATABASES={}, TIMEZONE="x")
    return module


def test_old_names_are_understood(old_module: types.ModuleType) -> None:
    conf = Settings({})
    conf.load(old_module)
    assert {present: conf[present] for present, _ in OLD.values()} == dict(OLD.values())
    assert conf.CELERYD_CONCURRENCY == conf["CELERYD_CONCURRENCY"] == 3
    assert conf.TASK_DEFAULT_QUEUE == "old"


def test_a_mapping_of_old_names(old_module: types.ModuleType) -> None:
    conf = Settings({})
    conf.load({name: value for name, (_, value) in OLD.items()})
    assert conf.worker_concurrency == 3
    conf.update(CELERYD_CONCURRENCY=4)
    assert conf.worker_concurrency == 4


def test_old_and_new_names_do_not_mix(old_module: types.ModuleType) -> None:
    old_module.__dict__["task_time_limit"] = 3
    with pytest.raises(
        ImproperlyConfigured, match=r"settings of two kinds are mixed: BROKER_URL.* beside task_time_limit"
    ):
        Settings({}).load(old_module)


def test_a_namespace_takes_upper_case_names_of_the_present() -> None:
    settings = types.ModuleType("django_settings")
    settings.__dict__.update(CELERY_BROKER_URL="memory://d", CELERY_TASK_TIME_LIMIT=9, DEBUG=True, task_time_limit="no")
    conf = Settings({})
    conf.load(settings, namespace="CELERY")
    assert (conf.broker_url, conf.task_time_limit) == ("memory://d", 9.0)


# Looking at them


def test_what_was_set_and_what_is_shown() -> None:
    conf = Settings({"UMBEL_TASK_TIME_LIMIT": "30"})
    conf.update(task_default_queue="default", security_key_password="hush", broker_url="redis://:hush@host/0")
    assert conf.changes == {
        "task_default_queue": "default",
        "security_key_password": "hush",
        "broker_url": "redis://:hush@host/0",
    }
    assert conf.value_set_for("task_default_queue")
    assert conf.value_set_for("task_time_limit")
    assert not conf.value_set_for("timezone")
    assert set(conf.without_defaults()) == {*conf.changes, "task_time_limit"}
    assert "task_default_queue" not in conf.table()
    assert conf.table(with_defaults=True)["timezone"] == "UTC"
    assert conf.table()["security_key_password"] == "********"
    assert "hush" not in str(conf.table()) + conf.humanize(with_defaults=True)
    assert conf.table(censored=False)["security_key_password"] == "hush"


def test_defaults_of_an_app_give_way_to_all_else() -> None:
    calls: list[int] = []

    def late() -> dict[str, Any]:
        calls.append(1)
        return {"task_time_limit": 5, "task_default_queue": "late"}

    conf = Settings({"UMBEL_RESULT_EXPIRES": "7"})
    conf.add_defaults({"task_time_limit": 4, "result_expires": 1, "timezone": "Europe/Oslo"})
    conf.add_defaults(late)
    conf.update(timezone="UTC")
    assert not calls
    shown = (conf.task_time_limit, conf.task_default_queue, conf.result_expires, conf.timezone)
    assert shown == (4.0, "late", 7.0, "UTC")
    conf.update(task_default_queue="code")
    assert conf.task_default_queue == "code"
    assert calls == [1]
    conf.add_defaults({"nonsense": 1})
    with pytest.raises(ImproperlyConfigured, match=r"no setting 'nonsense' in add_defaults\(\)"):
        conf.timezone  # noqa: B018 - read for the error


def test_the_environment_names_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = types.ModuleType("settings_of_env")
    module.__dict__.update(task_time_limit=11, task_default_queue="from-module")
    monkeypatch.setitem(sys.modules, "settings_of_env", module)
    conf = Settings({"UMBEL_CONFIG_MODULE": "settings_of_env"})
    conf.update(task_default_queue="code")
    assert (conf.task_time_limit, conf.task_default_queue) == (11.0, "code")


@pytest.fixture
def app() -> Iterator[Umbel]:
    with Umbel("settings", set_as_current=False) as app:
        yield app


def test_arguments_of_a_command_line_win(app: Umbel) -> None:
    app.conf.update(task_time_limit=5, worker_concurrency=1)
    app.config_from_cmdline(["task.time_limit=60", ".concurrency=4", "task_ignore_result=yes"], namespace="worker")
    assert (app.conf.task_time_limit, app.conf.worker_concurrency, app.conf.task_ignore_result) == (60.0, 4, True)
    app.conf.task_time_limit = 7
    assert app.conf.task_time_limit == 60.0
    for wrong, said in [("time", "is no setting: write it as name=value"), ("task_time_limt=3", "did you mean")]:
        with pytest.raises(ImproperlyConfigured, match=said):
            app.config_from_cmdline([wrong])


def test_a_setting_without_effect_says_why() -> None:
    with pytest.warns(UmbelWarning, match="delayed tasks wait in Redis"):
        Settings({}).update(worker_eta_task_limit=5)
