"""Shells complete commands and options: what click's protocol answers, and bash itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

#: The program, as a script of this name: shells ask the program that is completed.
SCRIPT = f"#!{sys.executable}\nfrom umbel.cli.main import main\nmain()\n"


@pytest.fixture
def umbel(tmp_path: Path) -> Path:
    path = tmp_path / "bin/umbel"
    path.parent.mkdir()
    path.write_text(SCRIPT)
    path.chmod(0o755)
    return path


def _run(command: list[str], umbel: Path, **environ: str) -> str:
    path = f"{umbel.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command, env={**os.environ, "PATH": path, **environ}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_calls_the_program(umbel: Path, shell: str) -> None:
    script = _run([str(umbel), "completion", shell], umbel)
    assert f"_UMBEL_COMPLETE={shell}_complete" in script


@pytest.mark.parametrize(
    ("shell", "line", "word", "expected"),
    [
        ("bash", "umbel wor", "1", "plain,worker"),
        ("bash", "umbel inspect act", "2", "plain,active"),
        ("bash", "umbel worker --conc", "2", "plain,--concurrency"),
        ("zsh", "umbel stat", "1", "plain\nstatus"),
    ],
)
def test_what_the_program_answers(umbel: Path, shell: str, line: str, word: str, expected: str) -> None:
    answer = _run([str(umbel)], umbel, _UMBEL_COMPLETE=f"{shell}_complete", COMP_WORDS=line, COMP_CWORD=word)
    assert expected in answer


def test_what_the_program_answers_fish(umbel: Path) -> None:
    answer = _run([str(umbel)], umbel, _UMBEL_COMPLETE="fish_complete", COMP_WORDS="umbel stat", COMP_CWORD="stat")
    assert "plain,status" in answer


def test_options_that_only_celery_has_are_not_proposed(umbel: Path) -> None:
    answer = _run([str(umbel)], umbel, _UMBEL_COMPLETE="bash_complete", COMP_WORDS="umbel worker --", COMP_CWORD="2")
    assert "--pool" in answer
    assert "--autoscale" not in answer


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes(umbel: Path) -> None:
    script = (
        'eval "$(umbel completion bash)"; COMP_WORDS=(umbel con); COMP_CWORD=1; _umbel_completion umbel con umbel; '
    )
    assert _run(["bash", "--norc", "-c", script + 'echo "${COMPREPLY[@]}"'], umbel).split() == ["control"]
