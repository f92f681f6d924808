"""Every block of README and docs is run as it stands there, each document from an empty folder, on a Redis of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.docs.blocks import Block, blocks_of
from tests.redis_server import RedisServer
from tests.workers import ROOT, until

from umbel import Umbel
from umbel.control.workers import registered
from umbel_operator.api.kinds import BY_NAME
from umbel_operator.api.parse import parse_strict

#: Pages that are generated, or tell history.
LEFT_OUT = {"docs/reference/resources.md"}
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS if str(path.relative_to(ROOT)) not in LEFT_OUT]


class Stage:
    """A folder in which a document's blocks are performed."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self._folder = folder
        self._server = server
        self._background: list[subprocess.Popen[bytes]] = []
        self._workers = 0
        bin_folder = str(Path(sys.executable).parent)
        self._environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}

    def _here(self, text: str) -> str:
        """Point the text at this test's Redis."""
        return text.replace("localhost:6379", f"127.0.0.1:{self._server.port}")

    def perform(self, block: Block) -> None:
        """Do what the block's comment says."""
        text = self._here(block.text)
        match block.action:
            case "file":
                path = self._folder / block.argument
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            case "run" if " --for " in text:
                self._run_until(text, block)
            case "run" | "fails":
                self._run(["bash", "-euo", "pipefail", "-c", text], block)
            case "python":
                self._run([sys.executable, "-c", text], block)
            case "background":
                self._begin(text, block, block.argument)
                self._wait_for_workers(text)
            case "yaml":
                for resource in yaml.safe_load_all(text):
                    if resource["apiVersion"].startswith("umbel.dev/"):
                        parse_strict(BY_NAME[resource["kind"]], resource)

    def _run(self, command: list[str], block: Block) -> None:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == (block.action == "fails"), (
            f"line {block.line}, exit {done.returncode}:\n{done.stdout}"
        )
        assert block.expect in done.stdout, f"line {block.line}: {block.expect!r} is not in:\n{done.stdout}"

    def _run_until(self, text: str, block: Block) -> None:
        """Run what ends by itself after a time, and end it once it has said what is expected: on a busy machine that takes long."""
        self._begin(re.sub(r"--for \S+", "--for 80s", text), block, block.expect, 80)
        process = self._background.pop()
        try:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            _end(process)

    def _begin(self, text: str, block: Block, expect: str, seconds: float = 60) -> None:
        log = self._folder / f".background-{block.line}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {text}"],
                cwd=self._folder,
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._background.append(process)
        try:
            until(lambda: expect in log.read_text() or process.poll() is not None, "", seconds)
        finally:
            said = log.read_text()
            assert expect in said, f"line {block.line}: {expect!r} is not in:\n{said}"

    def _wait_for_workers(self, text: str) -> None:
        """Wait until a worker's processes have entered themselves: it says that it has started before it starts them."""
        self._workers += " worker" in text
        with Umbel("looking", broker=self._server.url, set_as_current=False) as app:
            until(lambda: len(registered(app.broker)) >= self._workers, "the worker is there", 60)

    def close(self) -> None:
        """End what runs in the background."""
        for process in reversed(self._background):
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(15)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    server = RedisServer()
    server.start()
    made = Stage(tmp_path, server)
    yield made
    made.close()
    server.remove()


@pytest.mark.parametrize("name", NAMES)
def test_every_block_says_what_to_do_with_it(name: str) -> None:
    blocks_of(ROOT / name)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_document(name: str, stage: Stage) -> None:
    for block in blocks_of(ROOT / name):
        stage.perform(block)
