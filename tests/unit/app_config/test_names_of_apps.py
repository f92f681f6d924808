"""What an app has under Celery's names besides tasks and sending."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import ROOT

from umbel import Task, Umbel, current_app
from umbel.cli.running import name_of
from umbel.errors import ImproperlyConfigured
from umbel.testing import InMemoryWorker


@pytest.fixture
def app() -> Iterator[Umbel]:
    with Umbel("named", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False) as app:
        yield app


def test_an_app_is_finalized_once_at_its_first_use(app: Umbel) -> None:
    heard: list[str] = []

    @app.on_configure.connect
    def configure(sender: Umbel, **kwargs: Any) -> None:
        heard.append("configure")

    @app.on_after_configure.connect
    def add_periodic(sender: Umbel, **kwargs: Any) -> None:
        heard.append("configured")
        sender.add_periodic_task(10.0, "shop.count", name="count")

    @app.on_after_finalize.connect
    def finalized(sender: Umbel, **kwargs: Any) -> None:
        heard.append("finalized")

    assert not heard
    app.import_modules()
    assert heard == ["configure", "configured", "finalized"]
    assert "count" in app.conf.beat_schedule
    app.broker  # noqa: B018 - used for its effect
    app.finalize()
    assert len(heard) == 3


def test_a_receiver_may_send(app: Umbel) -> None:
    @app.task
    def hello() -> str:
        return "hello"

    results = []

    @app.on_after_finalize.connect
    def send(sender: Umbel, **kwargs: Any) -> None:
        results.append(hello.delay())

    app.finalize()
    InMemoryWorker(app).run()
    assert results[0].get(timeout=20) == "hello"


def test_autofinalize_can_be_left_to_the_code() -> None:
    app = Umbel("late", broker="memory://late", set_as_current=False, autofinalize=False)
    heard: list[Any] = []
    app.on_after_finalize.connect(lambda sender, **kwargs: heard.append(sender), weak=False)
    app.broker  # noqa: B018 - used for its effect
    app.import_modules()
    assert not heard
    app.finalize()
    assert heard == [app]


def test_classes_and_names_of_tasks() -> None:
    class Mine(Task[..., Any]):
        pass

    class Naming(Umbel):
        def gen_task_name(self, name: str, module: str) -> str:
            return f"my.{name}"

    app = Naming("naming", set_as_current=False, task_cls=Mine, strict_typing=False)

    @app.task
    def add(x: int) -> int:
        return x

    assert isinstance(add, Mine)
    assert (add.name, app.Task, app.create_task_cls()) == ("my.add", Mine, Mine)
    assert add.typing is False
    assert Umbel("plain", set_as_current=False).Task is Task
    with pytest.raises(ImproperlyConfigured, match="task_cls is 3"):
        Umbel("wrong", set_as_current=False, task_cls=3).Task  # type: ignore[arg-type] # noqa: B018


def test_time_and_ids(app: Umbel) -> None:
    app.conf.timezone = "Europe/Oslo"
    assert str(app.timezone) == "Europe/Oslo"
    assert app.now().tzinfo is not None
    assert not app.uses_utc_timezone()
    assert app.oid == app.oid != app.thread_oid
    assert app.either("task_default_queue", None, "mine") == "mine"
    assert app.either("task_default_queue") == "default"
    assert app.current_task is None


def test_the_current_app_can_be_chosen(app: Umbel, monkeypatch: pytest.MonkeyPatch) -> None:
    from umbel import context

    monkeypatch.setattr(context, "_default_app", [])
    app.set_current()
    assert current_app == app


def test_more_settings_and_a_source_that_may_be_missing() -> None:
    app = Umbel("more", set_as_current=False, changes={"task_time_limit": 4}, config_source="no_such_module_here",
                config_source_silent=True)  # fmt: skip
    assert app.conf.task_time_limit == 4.0


def test_workers_consume_what_is_selected(app: Umbel) -> None:
    @app.task(queue="mail")
    def mail() -> None: ...

    assert app.consumed_queues() == {"default", "mail"}
    app.select_queues(["reports"])
    assert app.consumed_queues() == {"reports"}
    app.select_queues(None)
    assert app.consumed_queues() == {"default", "mail"}


def test_a_report(app: Umbel) -> None:
    app.task(name="shop.add")(lambda: None)
    report = app.bugreport()
    assert "umbel: " in report
    assert "shop.add" in report


def test_worker_main_wants_its_command(app: Umbel) -> None:
    with pytest.raises(ValueError, match="needs the command 'worker'"):
        app.worker_main(["status"])


def test_an_app_without_a_module_cannot_be_started(app: Umbel) -> None:
    with pytest.raises(ImproperlyConfigured, match="stands in no module"):
        app.start(["status"])
    assert name_of is not None


SCRIPT = """
import sys
from umbel import Umbel

app = Umbel("script", broker=sys.argv[1] if __name__ == "__main__" else None)

@app.task
def add(x, y):
    return x + y

if __name__ == "__main__":
    app.start(sys.argv[2:])
"""


def test_a_script_runs_the_command_line_with_its_app(tmp_path: Path, redis_server: RedisServer, prefix: str) -> None:
    script = tmp_path / "my_script.py"
    script.write_text(SCRIPT)
    environment = {
        "PYTHONPATH": f"{ROOT / 'runtime'}:{':'.join(sys.path)}",
        "UMBEL_BROKER_URL": redis_server.url,
        "UMBEL_KEY_PREFIX": prefix,
    }
    done = subprocess.run(
        [sys.executable, str(script), redis_server.url, "report"], capture_output=True, text=True, env=environment, cwd="/",
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "my_script.add" in done.stdout or "script.add" in done.stdout
