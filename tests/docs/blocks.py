"""The code blocks of a document, and what a comment in front of each says is to be done with it.

``<!-- test: file NAME -->``        write the block into a file
``<!-- test: run -->``              run it with bash; ``expect TEXT`` after it: the output must contain that, and `umbel up --for`
                                    ends then
``<!-- test: fails -->``            run it with bash; it must end with a non-zero code; ``expect TEXT`` as above
``<!-- test: background TEXT -->``  start it with bash and wait until it prints TEXT, and a worker until it is there
``<!-- test: python -->``           run it with Python, ``expect TEXT`` as above
``<!-- test: yaml -->``             resources: they must fit the kinds of Umbel
``<!-- test: cluster -->``          for a cluster: tests/cluster does what it says
``<!-- test: shown -->``            nothing to run: a picture, or the output of the block before
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?:<!-- test: (?P<what>.*?) -->\s*\n)?^(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=fence)\s*$",
    re.S | re.M,
)
ACTIONS = ("file", "run", "fails", "background", "python", "yaml", "cluster", "shown")


@dataclass(frozen=True)
class Block:
    """One code block: where it starts, what to do with it, the rest of the comment, its text."""

    line: int
    action: str
    argument: str
    expect: str
    text: str


def blocks_of(document: Path) -> list[Block]:
    """Return the blocks of a document.

    Raises:
        ValueError: a block says nothing, or something unknown.
    """
    content = document.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(content):
        line = content.count("\n", 0, match.start("fence")) + 1
        what = match["what"]
        if what is None:
            raise ValueError(f"{document.name}:{line}: say what the tests do with this block: <!-- test: run -->, …")
        order, _, expect = what.partition("; expect ")
        action, _, argument = order.partition(" ")
        if action not in ACTIONS:
            raise ValueError(f"{document.name}:{line}: unknown action {action!r}; known are {', '.join(ACTIONS)}")
        found.append(Block(line, action, argument.strip(), expect.strip(), match["text"]))
    return found
