"""Build the CustomResourceDefinitions from the models."""

from __future__ import annotations

from typing import Any

import yaml

from umbel_operator.api.base import Column, Resource
from umbel_operator.api.names import GROUP, VERSION
from umbel_operator.api.schema import structural_schema

_API_VERSION = "Version of this object's schema, umbel.dev/v1alpha1."
_KIND = "Kind of the object."


def build_crd(kind: type[Resource]) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind as a plain dict."""
    subresources: dict[str, Any] = {"status": {}}
    if kind.scale is not None:
        subresources["scale"] = dict(kind.scale)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind_name(),
                "listKind": f"{kind.kind_name()}List",
                "plural": kind.plural,
                "singular": kind.kind_name().lower(),
                "shortNames": [kind.short_name],
                "categories": ["umbel"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": subresources,
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": root_schema(kind)},
                }
            ],
        },
    }


def root_schema(kind: type[Resource]) -> dict[str, Any]:
    """Return the schema of a whole object of the kind."""
    schema = structural_schema(kind)
    own = schema["properties"]
    own["status"].pop("default", None)
    schema["required"] = ["spec"]
    schema["properties"] = {
        "apiVersion": {"description": _API_VERSION, "type": "string"},
        "kind": {"description": _KIND, "type": "string"},
        "metadata": {"type": "object"},
        "spec": own["spec"],
        "status": own["status"],
    }
    return schema


def to_yaml(document: dict[str, Any]) -> str:
    """Write a document in the form of the files in crds/."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Writes repeated values in full, and lists indented under their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _column(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.wide:
        entry["priority"] = 1
    if column.meaning:
        entry["description"] = column.meaning
    return entry
