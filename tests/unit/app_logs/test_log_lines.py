"""What a log line looks like, and what is never in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from umbel.errors import ImproperlyConfigured
from umbel.logs import get_task_logger, setup_logging


@pytest.fixture(autouse=True)
def root_as_it_was() -> Iterator[None]:
    """Put the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def _logged(format: str, level: str = "INFO") -> str:
    stream = io.StringIO()
    setup_logging(level, format=format, stream=stream)
    log = logging.getLogger("umbel.worker")
    log.debug("not shown")
    log.info("task.done", extra={"task": "shop.add", "seconds": 0.5, "note": "two words", "password": "hunter2"})
    log.warning("broker.away", extra={"url": "redis://u:hunter2@h/0"})
    try:
        1 / 0  # noqa: B018 - raises
    except ZeroDivisionError:
        log.exception("boom")
    return stream.getvalue()


def test_text() -> None:
    lines = _logged("text").splitlines()
    assert lines[0].endswith('umbel.worker: task.done task=shop.add seconds=0.5 note="two words" password=********')
    assert " INFO " in lines[0]
    assert lines[1].endswith("broker.away url=redis://u:********@h/0")
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "\x1b" not in "".join(lines)


def test_json() -> None:
    text = _logged("json")
    assert "hunter2" not in text
    first, second, third = map(json.loads, text.splitlines())
    assert first["event"] == "task.done"
    assert (first["level"], first["logger"], first["task"], first["seconds"]) == (
        "INFO",
        "umbel.worker",
        "shop.add",
        0.5,
    )
    assert first["time"].endswith("Z")
    assert second["url"] == "redis://u:********@h/0"
    assert third["traceback"].endswith("ZeroDivisionError: division by zero")


def test_the_environment_chooses_the_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_LOG_FORMAT", "json")
    stream = io.StringIO()
    setup_logging("warning", stream=stream)
    get_task_logger("mail").info("not shown")
    get_task_logger("mail").error("shown")
    assert json.loads(stream.getvalue())["logger"] == "umbel.task.mail"


def test_unknown_levels_and_formats() -> None:
    with pytest.raises(ImproperlyConfigured, match="no log level 'LOUD'; choose one of DEBUG, INFO"):
        setup_logging("LOUD")
    with pytest.raises(ImproperlyConfigured, match=r"no log format 'xml' \(UMBEL_LOG_FORMAT\)"):
        setup_logging(format="xml")
