"""What no script may do, since others did it and paid for it: search all keys, search a list, act by chance, read what grows."""

from __future__ import annotations

import re
from importlib import resources

import pytest

LUA = resources.files("umbel.redis").joinpath("lua")
SCRIPTS = {entry.name: entry.read_text() for entry in LUA.iterdir() if entry.name.endswith(".lua")}
#: Commands whose cost grows with all that is queued or known, or that look for one among many.
UNBOUNDED = (
    "KEYS",
    "SCAN",
    "RANDOMKEY",
    "LREM",
    "LINSERT",
    "LPOS",
    "SMEMBERS",
    "HGETALL",
    "HVALS",
    "FLUSHDB",
    "FLUSHALL",
)
#: What reads a whole key is fine where one process, or one schedule, bounds it.
WHOLE = {"HKEYS": {"bury.lua", "schedule_begin.lua"}}
CALL = re.compile(r"\b(?:redis\.)?p?call\(\s*'(\w+)'\s*,?\s*([^,)\n]*)")


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script_is_bounded(name: str) -> None:
    commands = {command.upper() for command, _ in CALL.findall(SCRIPTS[name])}
    assert commands.isdisjoint(UNBOUNDED)
    for command, allowed in WHOLE.items():
        assert command not in commands or name in allowed


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script_does_the_same_each_time(name: str) -> None:
    assert "math.random" not in SCRIPTS[name]


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script_makes_no_names_of_keys(name: str) -> None:
    """A key that is put together in a script is not declared: Redis Cluster may not have it."""
    for command, key in CALL.findall(SCRIPTS[name]):
        if command.upper() not in ("TIME", "PUBLISH"):
            assert "'" not in key, f"{command} {key}"
            assert ".." not in key, f"{command} {key}"


def test_the_rules_look_at_something() -> None:
    calls = [call for text in SCRIPTS.values() for call in CALL.findall(text)]
    assert len(calls) > 100
    assert ("HGET", "owned") in calls
