"""What a server's refusal is called, in a script or outside of one, whatever its version."""

from __future__ import annotations

import pytest

from umbel.redis.connection import ServerRefused


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("READONLY You can't write against a read only replica.", "READONLY"),
        ("READONLY You can't write against a read only replica. script: ff967d, on @user_script:1.", "READONLY"),
        (
            "ERR Error running script (call to f_ff967d): @user_script:1: @user_script: 1: -OOM command not allowed when used "
            "memory > 'maxmemory'. ",
            "OOM",
        ),
        (
            "ERR Error running script (call to f_ff967d): @user_script:1: user_script:1: attempt to index a nil value",
            "ERR",
        ),
        ("NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT"),
    ],
)
def test_a_refusal_has_the_code_of_its_cause(text: str, code: str) -> None:
    assert ServerRefused(text).code == code


def test_a_refusal_says_what_to_do_in_sentences() -> None:
    told = str(ServerRefused("OOM command not allowed when used memory > 'maxmemory'. "))
    assert "'maxmemory'. It is at its maxmemory" in told
