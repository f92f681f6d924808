"""A task keeps its signature through ``delay`` and ``get``, as mypy sees it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SNIPPET = Path(__file__).with_name("snippet.py")


def test_wrong_calls_are_type_errors_and_right_ones_are_not(tmp_path: Path) -> None:
    expected = {
        number: line.rpartition("# error: ")[2].strip()
        for number, line in enumerate(SNIPPET.read_text().splitlines(), 1)
        if "# error: " in line
    }
    assert len(expected) > 10
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", "--config-file="]
    command += ["--cache-dir", str(tmp_path), "--follow-imports=silent", "--disallow-any-unimported", str(SNIPPET)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=110)
    found = {
        int(match[1]): match[2]
        for match in re.finditer(r"^.*snippet\.py:(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE)
    }
    assert found == expected, done.stdout + done.stderr
