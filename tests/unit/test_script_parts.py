"""Scripts are sent whole: what they include stands in their text, and nothing of the include line."""

from __future__ import annotations

from importlib import resources

import pytest

from umbel.redis.scripts import Script

FOLDER = resources.files("umbel.redis").joinpath("lua")
SCRIPTS = sorted(entry.name.removesuffix(".lua") for entry in FOLDER.iterdir() if entry.name.endswith(".lua"))
PARTS = sorted(entry.name.removesuffix(".lua") for entry in FOLDER.joinpath("parts").iterdir())


@pytest.mark.parametrize("name", SCRIPTS)
def test_nothing_is_left_to_include(name: str) -> None:
    assert b"-- include" not in Script(name).text


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_included(part: str) -> None:
    text = FOLDER.joinpath("parts", f"{part}.lua").read_bytes()
    assert any(text in Script(name).text for name in SCRIPTS)


def test_a_part_includes_nothing() -> None:
    assert not any(b"-- include" in FOLDER.joinpath("parts", f"{part}.lua").read_bytes() for part in PARTS)
