"""The directory of definitions in all states between two updates."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from umbel.beat.directory import Directory


def shard(*names: str) -> str:
    return json.dumps({"queues": [{"name": name} for name in names]})


def index(serial: int, **shards: str) -> str:
    digests = {f"{name}.json": hashlib.sha256(text.encode()).hexdigest() for name, text in shards.items()}
    return json.dumps({"layout": 1, "serial": serial, "source": "b", "shards": digests})


def queues(directory: Directory) -> set[str]:
    return set(directory.current.queues)


def test_a_directory_that_comes_later(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "config")
    assert directory.poll() is None
    assert directory.problem is None
    (tmp_path / "config").mkdir()
    assert directory.poll() is None
    (tmp_path / "config" / "s.json").write_text(shard("a"))
    (tmp_path / "config" / "index.json").write_text(index(1, s=shard("a")))
    assert directory.poll() is not None
    assert queues(directory) == {"a"}
    assert (directory.current.serial, directory.current.source) == (1, "b")
    assert directory.poll() is None


def test_every_order_of_writing_an_update_ends_in_the_whole_update(tmp_path: Path) -> None:
    old, new = {"s": shard("a"), "t": shard("b")}, {"s": shard("c"), "t": shard("d")}
    (tmp_path / "s.json").write_text(old["s"])
    (tmp_path / "t.json").write_text(old["t"])
    (tmp_path / "index.json").write_text(index(1, **old))
    directory = Directory(tmp_path)
    directory.poll()
    steps = [("index", index(2, **new)), ("t", new["t"]), ("s", new["s"])]
    for number, (name, text) in enumerate(steps):
        assert queues(directory) == {"a", "b"}
        (tmp_path / f"{name}.json").write_text(text)
        directory.poll()
        assert (directory.problem is None) == (number == 2)
    assert queues(directory) == {"c", "d"}
    for name, text in [("s", old["s"]), ("t", old["t"])]:
        (tmp_path / f"{name}.json").write_text(text)
        directory.poll()
        assert queues(directory) == {"c", "d"}
        assert directory.problem is None
    (tmp_path / "index.json").write_text(index(3, **old))
    directory.poll()
    assert queues(directory) == {"a", "b"}


def test_a_deleted_index_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(shard("a"))
    (tmp_path / "index.json").write_text(index(1, s=shard("a")))
    directory = Directory(tmp_path)
    directory.poll()
    (tmp_path / "index.json").unlink()
    assert directory.poll() is None
    assert queues(directory) == {"a"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        (json.dumps({"layout": 2, "serial": 1, "source": "b", "shards": {}}), "has layout 2, this beat reads layout 1"),
        (json.dumps({"layout": 1, "serial": 1, "source": "b", "shards": {"../x": ""}}), "no file name"),
        (json.dumps({"layout": 1, "serial": 1, "source": "b", "shards": {"gone.json": ""}}), "gone.json is not there"),
    ],
)
def test_an_index_that_cannot_be_used_is_said(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "index.json").write_text(text)
    directory = Directory(tmp_path)
    assert directory.poll() is None
    assert directory.problem is not None
    assert says in directory.problem.message
    assert directory.problem.reason == "LoadFailed"


def test_a_shard_that_is_no_json_is_reported_and_the_others_are_used(tmp_path: Path) -> None:
    texts: dict[str, Any] = {"bad": "{", "good": shard("a")}
    for name, text in texts.items():
        (tmp_path / f"{name}.json").write_text(text)
    (tmp_path / "index.json").write_text(index(1, **texts))
    directory = Directory(tmp_path)
    assert directory.poll() is not None
    assert queues(directory) == {"a"}
    assert [error.name for error in directory.current.errors] == ["bad.json"]
