"""Objects that are nested as deeply as the API server takes them do not blind the operator."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import copy, json
from umbel_operator.kube import transport
deep = '{"items": [{"spec": ' + '[' * 9900 + ']' * 9900 + '}]}'
transport.allow_deep_json()
body = transport._decode(deep.encode())
assert len(body["items"]) == 1
json.dumps(copy.deepcopy(body))
"""


@pytest.mark.skipif(
    sys.version_info[:2] == (3, 12), reason="Python 3.12 bounds the depth of C code, and nothing raises that"
)
def test_deep_objects_are_read() -> None:
    # A process of its own: the bound holds for all of it.
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=90)
