"""The workflows run commands that exist, on every Python that is promised and the oldest Kubernetes that is taken."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml
from tests.operator.chart.rendering import CHART, ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
(CI,) = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in WORKFLOWS if file.name == "ci.yml")


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    used = set()
    for step in steps(CI):
        for words in re.findall(r"\bmake ((?:--silent )?[^\n)&]+)", step.get("run", "")):
            used |= {word for word in words.split() if re.fullmatch("[a-z-]+", word) and not word.startswith("-")}
    assert used
    assert used <= targets


def test_every_promised_python_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = [name.rpartition(" ")[2] for name in project["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert CI["jobs"]["test"]["strategy"]["matrix"]["python"] == promised


def test_the_oldest_kubernetes_that_the_chart_takes_is_tested() -> None:
    wanted = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["kubeVersion"]
    nodes = CI["jobs"]["cluster"]["strategy"]["matrix"]["node"]
    oldest = re.search(r"\d+\.\d+", wanted)
    assert oldest is not None
    assert nodes[0].startswith(f"v{oldest[0]}.")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_nobody_gets_more_rights_than_the_step_needs(file: Any) -> None:
    workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    writers = [name for name, job in workflow["jobs"].items() if "write" in str(job.get("permissions", ""))]
    assert writers == ["images"]
    for step in steps(workflow):
        # What others can write (titles, names of branches) must not become part of a command.
        assert not re.search(r"\$\{\{ *github\.(event|head_ref)", step.get("run", ""))
