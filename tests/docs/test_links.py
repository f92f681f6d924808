"""Links between the documents lead to a file and to a heading that are there, and every page can be found."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from tests.workers import ROOT

FOLDERS = ("docs", "manifests", "charts", "benchmarks")
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.md"))),
]
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
_FENCED = re.compile(r"^(```+).*?^\1\s*$", re.S | re.M)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def _text(path: Path) -> str:
    return _FENCED.sub("", path.read_text(encoding="utf-8"))


@cache
def _headings(path: Path) -> list[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#{1,6} +(.+?) *$", _text(path), re.M)
    return [re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", title).lower()).replace(" ", "-") for title in titles]


def _links(path: Path) -> list[tuple[Path, str]]:
    """Return the files that a document links to, with the anchor or an empty text."""
    targets = [target for target in _LINK.findall(_CODE.sub("", _text(path))) if not re.match(r"[a-z]+:", target)]
    parts = [target.partition("#") for target in targets]
    return [((path.parent / name).resolve() if name else path, anchor) for name, _, anchor in parts]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_a_file_and_a_heading(name: str) -> None:
    for target, anchor in _links(ROOT / name):
        assert target.exists(), f"{name} links to {target}, which is not there"
        if anchor and target.suffix == ".md":
            assert anchor in _headings(target), f"{name} links to #{anchor}, which is no heading of {target.name}"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CHANGELOG.md"])
def test_no_heading_comes_twice(name: str) -> None:
    twice = [heading for heading, count in Counter(_headings(ROOT / name)).items() if count > 1]
    assert not twice, f"{name} has these headings more than once: {', '.join(twice)}"


def test_the_table_of_contents_names_every_page() -> None:
    contents = ROOT / "docs/README.md"
    named = {target for target, _ in _links(contents)}
    pages = {path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts and path != contents}
    assert not pages - named
