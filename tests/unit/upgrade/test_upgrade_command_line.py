"""The command `umbel upgrade celery`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from umbel.cli.main import umbel

OLD = "from celery import Celery\n\napp = Celery('x')\n"


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(umbel, ["upgrade", "celery", *map(str, arguments)])


def test_it_shows_a_diff_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(OLD)
    result = _run(tmp_path)
    assert result.exit_code == 0
    assert "+from umbel import Umbel" in result.output
    assert "Rewritten (1)" in result.output
    assert (tmp_path / "app.py").read_text() == OLD


def test_it_writes_on_request_and_has_nothing_to_do_then(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(OLD)
    assert "Rewrote 1 file; 1 kept as NAME.umbel-backup." in _run(tmp_path, "--write").output
    assert (tmp_path / "app.py").read_text() == "from umbel import Umbel\n\napp = Umbel('x')\n"
    assert "Nothing of Celery's was found." in _run(tmp_path).output


def test_without_copies(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(OLD)
    _run(tmp_path, "--write", "--no-backup")
    assert [path.name for path in tmp_path.iterdir()] == ["app.py"]


def test_one_file(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(OLD)
    assert _run(tmp_path / "app.py", "--write").exit_code == 0
    assert "Umbel" in (tmp_path / "app.py").read_text()


def test_it_ends_with_1_while_something_is_left(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("from celery import bootsteps\n")
    result = _run(tmp_path)
    assert result.exit_code == 1
    assert "Not offered (1)" in result.output


def test_json(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(OLD)
    answer = json.loads(_run(tmp_path, "--json", "--no-diff").output)
    assert answer["changed"] == ["app.py"]
    assert answer["findings"][0]["kind"] == "rewritten"
    assert answer["findings"][0]["line"] == 1
    assert "diff" not in answer


def test_no_such_folder(tmp_path: Path) -> None:
    result = _run(tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "there is no file or folder" in result.output


def test_without_libcst_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libcst", None)
    result = _run(tmp_path)
    assert result.exit_code == 2
    assert "pip install 'umbel[upgrade]'" in result.output
