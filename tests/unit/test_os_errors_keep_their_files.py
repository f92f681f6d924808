"""An OSError that went through a result still says which file it was about."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from umbel import failure, rebuilding


@pytest.mark.parametrize("path", ["missing.txt", Path("missing.txt")])
def test_a_file_that_is_missing_is_named(tmp_path: Path, path: str | Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        os.stat(path)
    again = rebuilding.decode(failure.encode(raised.value))
    assert type(again) is FileNotFoundError
    assert str(again) == str(raised.value).replace("PosixPath(", "").replace(")", "")
    assert (again.errno, again.filename) == (raised.value.errno, "missing.txt")


def test_both_files_of_a_rename_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        (tmp_path / "a").rename(tmp_path / "b")
    again = rebuilding.decode(failure.encode(raised.value))
    assert isinstance(again, OSError)
    assert (again.filename, again.filename2) == (str(tmp_path / "a"), str(tmp_path / "b"))


def test_an_error_without_a_file_stays_as_it_is() -> None:
    again = rebuilding.decode(failure.encode(ConnectionRefusedError(111, "Connection refused")))
    assert isinstance(again, ConnectionRefusedError)
    assert again.args == (111, "Connection refused")
    assert rebuilding.decode(failure.encode(OSError("plain"))).args == ("plain",)
