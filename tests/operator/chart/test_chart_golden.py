"""What the chart renders, for every value set, is what was read and approved."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
import yaml
from tests.operator.chart.rendering import CHART, GOLDEN, VALUE_SETS, VALUES, golden_text, run_helm

from umbel import __version__


@pytest.mark.parametrize("values", VALUE_SETS)
def test_render_is_the_golden_one(values: str) -> None:
    golden = GOLDEN / f"{values}.yaml"
    expected = golden.read_text(encoding="utf-8") if golden.exists() else ""
    rendered = golden_text(values)
    difference = "".join(difflib.unified_diff(expected.splitlines(True), rendered.splitlines(True), "golden", "render"))
    assert not difference, f"run `python -m tests.operator.chart.update` if this is meant:\n{difference}"


def test_every_golden_file_has_its_values() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.yaml")) == VALUE_SETS


@pytest.mark.parametrize("values", VALUE_SETS)
def test_lint_finds_nothing(values: str) -> None:
    done = run_helm("lint", "--strict", CHART, "--values", VALUES / f"{values}.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_version_is_that_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_package_holds_every_template(tmp_path: Path) -> None:
    done = run_helm("package", CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("umbel-*.tgz")
    shown = run_helm("template", "umbel", archive)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("kind: CustomResourceDefinition") == 4
