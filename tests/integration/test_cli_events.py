"""``umbel events`` as a program: lines, JSON, a camera, the screen in a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.redis_server import RedisServer
from tests.workers import ROOT, until

from umbel import Umbel

CAMERA = """
from pathlib import Path
from umbel.events.camera import Camera


class Album(Camera):
    def on_shutter(self, state):
        Path(__file__).with_name("picture").write_text(" ".join(sorted(state.tasks)))


nothing = 3
"""


@pytest.fixture
def run(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``umbel events``; it is gone after the test."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
        environment = {**os.environ, "UMBEL_BROKER_URL": redis_server.url, "UMBEL_KEY_PREFIX": prefix}
        environment |= {"PYTHONPATH": f"{tmp_path}:{ROOT}", "TERM": "xterm", "COLUMNS": "100", "LINES": "20"}
        command = [sys.executable, "-m", "umbel", "events", *arguments]
        streams = {"stdin": stdin, "stdout": stdout, "stderr": subprocess.PIPE if stdout == subprocess.PIPE else stdout}
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, text=True, **streams)  # type: ignore[call-overload]
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def app(producer: Callable[..., Umbel], redis_server: RedisServer) -> Umbel:
    """An app that has told something."""
    made = producer(redis_server)
    with made.events.Dispatcher(hostname="w1") as dispatcher:
        dispatcher.send("task-received", uuid="a-task", name="shop.add")
    return made


def test_lines_and_json(app: Umbel, run: Callable[..., subprocess.Popen[str]]) -> None:
    lines = run("--dump", "--since", "all")
    assert "w1 task-received shop.add[a-task]" in lines.stdout.readline()
    as_json = run("--json", "--since", "1h")
    assert json.loads(as_json.stdout.readline())["uuid"] == "a-task"
    with app.events.Dispatcher(hostname="w1") as dispatcher:
        dispatcher.send("task-succeeded", uuid="a-task")
    assert "task-succeeded [a-task]" in lines.stdout.readline()
    assert json.loads(as_json.stdout.readline())["type"] == "task-succeeded"


def test_a_camera(app: Umbel, run: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    (tmp_path / "album.py").write_text(CAMERA)
    run("--camera", "album:Album", "--freq", "0.05", "--maxrate", "50/s", "--since", "all")
    until(lambda: (tmp_path / "picture").exists() and (tmp_path / "picture").read_text() == "a-task", "a picture", 60)
    wrong = run("--camera", "album:nothing")
    assert wrong.wait(60) == 2
    assert "subclass of umbel.events.camera.Camera" in wrong.stderr.read()


def test_without_a_terminal_there_is_no_screen(run: Callable[..., subprocess.Popen[str]]) -> None:
    process = run()
    assert process.wait(60) == 2
    assert "--dump" in process.stderr.read()


def test_the_screen_in_a_terminal(app: Umbel, run: Callable[..., subprocess.Popen[str]]) -> None:
    ours, theirs = pty.openpty()
    process = run(stdin=theirs, stdout=theirs)
    os.close(theirs)
    shown = b""
    while b"shop.add" not in shown:
        shown += os.read(ours, 65536)
    os.write(ours, b"j")
    os.write(ours, b"i")
    while b"info of" not in shown:
        shown += os.read(ours, 65536)
    os.write(ours, b"\x03")
    try:
        while os.read(ours, 65536):
            pass
    except OSError:
        pass  # it has ended
    assert process.wait(60) == 0
    os.close(ours)
