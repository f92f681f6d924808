"""Settings: where they come from, who wins, and what is said about wrong ones."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from umbel import Umbel
from umbel.config import Settings, censor, censor_url
from umbel.errors import ImproperlyConfigured


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    made = types.ModuleType("some_settings")
    sys.modules["some_settings"] = made
    yield made
    del sys.modules["some_settings"]


def test_the_nearer_source_wins() -> None:
    # Given a default, code, the environment and a command line
    conf = Settings({"UMBEL_TASK_DEFAULT_QUEUE": "from-environment", "UMBEL_KEY_PREFIX": "env"})
    assert conf.task_default_queue == "from-environment"
    assert Settings({}).task_default_queue == "default"
    conf.update(task_default_queue="from-code", worker_concurrency=3)
    assert conf.task_default_queue == "from-environment"
    assert conf.worker_concurrency == 3
    # When the command line says otherwise, then it wins; what it leaves out does not count
    conf.set_command_line({"task_default_queue": "from-command-line", "key_prefix": None})
    assert conf.task_default_queue == "from-command-line"
    assert conf.key_prefix == "env"


def test_reading_and_writing_by_attribute_and_by_item() -> None:
    conf = Settings({})
    conf.task_time_limit = 30
    conf["task_soft_time_limit"] = timedelta(seconds=20)
    assert (conf["task_time_limit"], conf.task_soft_time_limit) == (30.0, 20.0)
    assert "task_time_limit" in conf
    assert conf.get("nothing", 7) == 7
    assert conf.is_set("task_time_limit")
    assert not conf.is_set("worker_concurrency")
    assert conf.changed() == {"task_time_limit": 30.0, "task_soft_time_limit": 20.0}


@pytest.mark.parametrize("use", [lambda c: c.task_defualt_queue, lambda c: c["task_defualt_queue"]])
def test_reading_an_unknown_setting_proposes_the_nearest(use: Any) -> None:
    with pytest.raises((AttributeError, KeyError), match="did you mean 'task_default_queue'"):
        use(Settings({}))


def test_writing_an_unknown_setting_proposes_the_nearest() -> None:
    with pytest.raises(ImproperlyConfigured, match="no setting 'task_defualt_queue' in the code: did you mean"):
        Settings({}).update(task_defualt_queue="x")
    with pytest.raises(ImproperlyConfigured, match="did you mean 'broker_url'"):
        Umbel(set_as_current=False, brokerurl="redis://h")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("task_default_priority", 10, "at least 0 and at most 9"),
        ("task_default_priority", "high", "a whole number"),
        ("worker_concurrency", 0, "at least 1"),
        ("worker_concurrency", 1.5, "a whole number"),
        ("task_acks_late", "perhaps", "true or false"),
        ("task_time_limit", -1, "seconds, above 0"),
        ("task_time_limit", float("nan"), "seconds"),
        ("timezone", "Mars/Olympus", "IANA time zone"),
        ("enable_utc", False, "always kept in UTC"),
        ("task_reject_on_worker_lost", False, "at most once"),
        ("accept_content", [], "a list of serializers"),
        ("include", 3, "a list of names"),
        ("beat_schedule", [1], "a dict"),
        ("task_routes", 3, "a dict"),
    ],
)
def test_a_value_that_does_not_fit_says_what_does(name: str, value: object, expected: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"the setting {name} .* cannot be .*{expected}"):
        Settings({}).update({name: value})


def test_a_wrong_environment_variable_is_named() -> None:
    with pytest.raises(ImproperlyConfigured, match="as the environment variable UMBEL_WORKER_CONCURRENCY says"):
        Settings({"UMBEL_WORKER_CONCURRENCY": "many"}).worker_concurrency  # noqa: B018 - read for the error


def test_the_environment_is_read_by_type() -> None:
    conf = Settings(
        {
            "UMBEL_TASK_IGNORE_RESULT": "yes",
            "UMBEL_RESULT_EXPIRES": "60",
            "UMBEL_INCLUDE": "a.tasks, b.tasks",
            "UMBEL_TASK_ROUTES": '{"a.*": "mail"}',
            "UMBEL_TASK_TIME_LIMIT": "",
        }
    )
    assert conf.task_ignore_result is True
    assert conf.result_expires == 60.0
    assert conf.include == ("a.tasks", "b.tasks")
    assert conf.task_routes == {"a.*": "mail"}
    assert conf.task_time_limit is None


def test_results_never_stay_for_ever() -> None:
    conf = Settings({})
    assert conf.result_ttl == 86400.0
    conf.result_expires = None
    assert conf.result_ttl == 10 * 365 * 86400.0


def test_a_module_is_read_at_the_first_use_of_a_setting(module: types.ModuleType) -> None:
    # Given an app that is told the name of a module whose content comes later
    app = Umbel(set_as_current=False)
    app.config_from_object("some_settings")
    module.__dict__.update(task_default_queue="mail", Helper=type("Helper", (), {}), os=sys, _private=1, CONSTANT=2)
    # Then it is read now; imports, classes, private and upper-case names are no settings
    assert app.conf.task_default_queue == "mail"


def test_threads_that_ask_first_at_the_same_time_get_the_same(module: types.ModuleType) -> None:
    # Given two sources that take a while to read
    class Slow(dict[str, object]):
        def keys(self) -> Any:
            threading.Event().wait(0.02)
            return super().keys()

    module.__dict__["slow"] = Slow({"task_default_queue": "mail"})
    module.__dict__["later"] = Slow({"task_default_priority": 9})
    app = Umbel(set_as_current=False)
    app.config_from_object("some_settings:slow")
    app.config_from_object("some_settings:later")
    # When many threads need them
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: (app.conf.task_default_queue, app.conf.task_default_priority), range(8)))
    assert set(seen) == {("mail", 9)}


def test_a_module_of_settings_may_ask_the_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Umbel("circle", set_as_current=False)
    monkeypatch.setitem(sys.modules, "circle_app", types.SimpleNamespace(app=app))  # type: ignore[arg-type]
    (tmp_path / "circle_settings.py").write_text(
        "from circle_app import app\ntask_default_priority = app.conf.task_default_priority + 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    app.config_from_object("circle_settings")
    app.config_from_object({"task_default_queue": "mail"})
    assert (app.conf.task_default_priority, app.conf.task_default_queue) == (6, "mail")
    del sys.modules["circle_settings"]


def test_a_source_that_fails_fails_each_time() -> None:
    app = Umbel(set_as_current=False)
    app.config_from_object("not_there_at_all")
    for _ in range(2):
        with pytest.raises(ImproperlyConfigured, match="no module 'not_there_at_all'"):
            app.conf.task_time_limit  # noqa: B018 - read for the error


def test_what_was_set_later_wins_over_a_module(module: types.ModuleType) -> None:
    module.__dict__.update(task_default_queue="mail", task_default_priority=1)
    app = Umbel(set_as_current=False)
    app.config_from_object("some_settings")
    app.conf.task_default_queue = "reports"
    assert (app.conf.task_default_queue, app.conf.task_default_priority) == ("reports", 1)


def test_an_unknown_name_in_a_module_is_an_error_that_names_it(module: types.ModuleType) -> None:
    module.__dict__["task_time_limt"] = 3
    app = Umbel(set_as_current=False)
    app.config_from_object("some_settings")
    with pytest.raises(ImproperlyConfigured, match="'task_time_limt' in some_settings: did you mean 'task_time_limit'"):
        app.conf.task_time_limit  # noqa: B018 - read for the error


def test_celerys_upper_case_names_in_a_namespace(module: types.ModuleType) -> None:
    module.__dict__.update(
        CELERY_BROKER_URL="redis://there/1", CELERY_TASK_ALWAYS_EAGER=True, DEBUG=True, CACHES={}, lower="x"
    )
    app = Umbel(set_as_current=False)
    app.config_from_object("some_settings", namespace="CELERY")
    assert (app.conf.broker_url, app.conf.task_always_eager) == ("redis://there/1", True)


def test_an_object_a_class_and_a_mapping_are_sources_too() -> None:
    class Config:
        task_default_queue = "a"
        enable_utc = True

    app = Umbel(set_as_current=False)
    app.config_from_object(Config)
    assert app.conf.task_default_queue == "a"
    app.config_from_object({"task_default_queue": "b"})
    assert app.conf.task_default_queue == "b"
    app.config_from_object(types.SimpleNamespace(APP_TASK_DEFAULT_QUEUE="c"), namespace="APP")
    assert app.conf.task_default_queue == "c"


def test_a_missing_module_of_settings() -> None:
    app = Umbel(set_as_current=False)
    with pytest.raises(ImproperlyConfigured, match=r"no module 'not_there_at_all' \(named by config_from_object\)"):
        app.config_from_object("not_there_at_all", force=True)
    app = Umbel(set_as_current=False)
    app.config_from_object("not_there_at_all", silent=True)


def test_a_source_named_by_the_environment(module: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    module.__dict__["task_default_queue"] = "mail"
    monkeypatch.setenv("MY_CONFIG", "some_settings")
    app = Umbel(set_as_current=False)
    app.config_from_envvar("MY_CONFIG")
    assert app.conf.task_default_queue == "mail"
    with pytest.raises(ImproperlyConfigured, match="OTHER_CONFIG is not set"):
        app.config_from_envvar("OTHER_CONFIG")


def test_settings_of_celery_without_effect_are_taken_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="worker_prefetch_multiplier .* has no effect in Umbel: a worker fetches"):
        Settings({}).update(worker_prefetch_multiplier=1)


def test_settings_of_celery_that_would_be_missed_are_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="broker_use_ssl in the code does not exist in Umbel: write rediss"):
        Settings({}).update(broker_use_ssl=True)


def test_the_settings_of_the_celery_tutorial_work(module: types.ModuleType) -> None:
    module.__dict__.update(
        broker_url="redis://localhost",
        result_backend="redis://localhost",
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        timezone="Europe/Oslo",
        enable_utc=True,
        task_routes={"tasks.add": "low-priority"},
    )
    app = Umbel("tasks", set_as_current=False)
    app.config_from_object("some_settings")
    assert app.conf.timezone == "Europe/Oslo"


def test_no_secret_is_shown() -> None:
    conf = Settings({})
    conf.update(broker_url="redis://user:hunter2@host:6379/0", beat_schedule={"a": {"kwargs": {"api_token": "t0p"}}})
    shown = conf.humanize()
    assert "hunter2" not in shown
    assert "t0p" not in shown
    assert "redis://user:********@host:6379/0" in shown
    assert conf.humanize(with_defaults=True).count("\n") > 20


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host/0", "redis://host/0"),
        ("redis://:secret@host/0", "redis://:********@host/0"),
        ("redis://user@host/0", "redis://user@host/0"),
        (
            "redis+sentinel://u:secret@h:1,h:2/m/0?sentinel_password=too",
            "redis+sentinel://u:********@h:1,h:2/m/0?sentinel_password=********",
        ),
        ("redis://[broken", "********"),
    ],
)
def test_urls_lose_their_password(url: str, shown: str) -> None:
    assert censor_url(url) == shown


def test_fields_are_censored_by_name() -> None:
    assert censor("db_password", "x") == "********"
    assert censor("key_prefix", "umbel") == "umbel"
    assert censor("task", "shop.add") == "shop.add"
