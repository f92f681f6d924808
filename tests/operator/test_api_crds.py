"""The CRDs: structural, complete, as on disk; and the acceptance cases as far as the models alone can tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.cluster.crd_cases import CASES, Case

from umbel_operator.api.base import camel
from umbel_operator.api.conditions import CONDITIONS
from umbel_operator.api.crd import build_crd, root_schema, to_yaml
from umbel_operator.api.gaps import GAPS
from umbel_operator.api.generate import generated_files, main
from umbel_operator.api.kinds import BY_NAME, KINDS
from umbel_operator.api.parse import parse_strict

ROOT = Path(__file__).parents[2]
KIND_IDS = [kind.kind_name() for kind in KINDS]

#: What a structural schema may hold; anything else is refused, or ignored without a word, by the API server.
ALLOWED = {
    "description",
    "type",
    "format",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "pattern",
    "required",
    "properties",
    "additionalProperties",
    "items",
}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], f"{path}.{key}")


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_schema_is_structural(kind: Any) -> None:
    for path, node in nodes(root_schema(kind)):
        odd = {key for key in node if key not in ALLOWED and not key.startswith("x-kubernetes-")}
        if node.get("x-kubernetes-int-or-string"):
            odd.discard("anyOf")
        assert not odd, path
        assert "type" in node or any(key.startswith("x-kubernetes-") for key in node), path
        assert not ("properties" in node and "additionalProperties" in node), path


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_every_field_is_described_in_a_sentence(kind: Any) -> None:
    for path, node in nodes(root_schema(kind)):
        if path and not path.endswith((".items", ".additionalProperties")) and path != ".metadata":
            assert node.get("description", "").endswith("."), path


#: How the description of a number says what it counts.
UNITS = re.compile(r"seconds|\bs\b|number|generation|pods|slots|tasks|priority|share|percent", re.IGNORECASE)


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_every_number_says_what_it_counts(kind: Any) -> None:
    for path, node in nodes(root_schema(kind)):
        text = node.get("description", "")
        if node.get("type") in ("integer", "number"):
            assert UNITS.search(text), f"{path}: {text}"
        if path.endswith("Seconds"):
            assert "second" in text.lower(), f"{path}: {text}"
        if path and not path.endswith((".items", ".additionalProperties")) and path != ".metadata":
            assert text[0].isupper() or text.split()[0] == "spec.replicas", f"{path}: {text}"


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_strings_and_lists_are_bounded(kind: Any) -> None:
    schema = root_schema(kind)
    for part in ("spec", "status"):
        for path, node in nodes(schema["properties"][part], part):
            if node.get("type") == "array":
                assert "maxItems" in node, path
            if node.get("type") == "string" and "enum" not in node and node.get("format") != "date-time":
                assert "maxLength" in node, path


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_defaults_fit_their_own_schema(kind: Any) -> None:
    for path, node in nodes(root_schema(kind)):
        if "default" in node:
            jsonschema.validate(node["default"], node)
        if "x-kubernetes-validations" in node and "default" in node:
            required = {name for name, child in node["properties"].items() if "default" in child}
            assert required <= set(node["default"]), f"{path}: CEL runs on the default before nested defaults apply"


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_columns_name_fields_that_exist(kind: Any) -> None:
    crd = build_crd(kind)
    (version,) = crd["spec"]["versions"]
    for column in version["additionalPrinterColumns"]:
        path = column["jsonPath"].removeprefix(".")
        if "[" in path or path.startswith("metadata."):
            continue
        node = version["schema"]["openAPIV3Schema"]
        for part in path.split("."):
            node = node["properties"][part]
        assert not (column["type"] == "date" and column["name"] == "Next"), "a future date prints <invalid>"


def test_worker_pool_has_the_scale_subresource() -> None:
    (version,) = build_crd(BY_NAME["WorkerPool"])["spec"]["versions"]
    assert version["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }


def test_immutable_references_name_their_field() -> None:
    spec = root_schema(BY_NAME["TaskQueue"])["properties"]["spec"]
    assert spec["x-kubernetes-validations"][0] == {
        "rule": "self.brokerRef == oldSelf.brokerRef",
        "message": "brokerRef is immutable",
        "reason": "FieldValueForbidden",
        "fieldPath": ".brokerRef",
    }


def test_generated_files_are_those_on_disk(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--root", str(ROOT)]) == 0, capsys.readouterr().err


def test_check_names_what_differs_and_writing_cures_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path)]) == 0
    broken = tmp_path / "crds" / "brokers.yaml"
    broken.write_text("spoiled", encoding="utf-8")
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("crds/brokers.yaml differs from the models; run: python -m")
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0


def test_yaml_has_no_aliases() -> None:
    assert all("&id" not in to_yaml(build_crd(kind)) for kind in KINDS)


def test_reference_tells_every_field_and_reason() -> None:
    page = generated_files()["docs/reference/resources.md"]
    for kind in KINDS:
        section = page.split(f"\n## {kind.kind_name()}\n")[1].split("\n## ")[0]
        for path, _ in nodes(root_schema(kind)["properties"]["spec"], "spec"):
            shown = path.replace(".items", "[]").split(".additionalProperties")[0].removesuffix("[]")
            assert shown == "spec" or f"`{shown}`" in section, shown
        assert all(f"| `{gap.field}` | {gap.instead} |" in section for gap in GAPS[kind.kind_name()])
        for condition, found in CONDITIONS[kind.kind_name()].items():
            for reason in found:
                assert f"| {condition} | `{reason}` |" in section


@pytest.mark.parametrize(
    ("attribute", "field"),
    [
        ("broker_ref", "brokerRef"),
        ("lock_ttl_seconds", "lockTTLSeconds"),
        ("last_task_id", "lastTaskID"),
        ("tls", "tls"),
    ],
)
def test_names_outside_and_inside(attribute: str, field: str) -> None:
    assert camel(attribute) == field


@pytest.mark.parametrize("case", [case for case in CASES if case.update is None], ids=lambda case: case.case)
def test_models_decide_as_the_api_server_does(case: Case) -> None:
    """Given an acceptance case, when it is read strictly (as without a cluster), then the verdict is the same."""
    kind: Any = BY_NAME[case.kind]
    if case.accepted:
        assert parse_strict(kind, case.body()).metadata.name == case.name
    else:
        with pytest.raises(ValueError) as refusal:
            parse_strict(kind, case.body())
        assert case.says in str(refusal.value)


def test_the_cases_are_forty_five() -> None:
    assert len(CASES) == 45
