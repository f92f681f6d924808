"""Say that a Broker is missing, with the YAML of one."""

from __future__ import annotations


def broker_not_found(name: str, namespace: str) -> str:
    """Return the message, complete with what to apply."""
    return (
        f'there is no Broker "{name}" in namespace "{namespace}"; apply one, with the address of your Redis:\n'
        "apiVersion: umbel.dev/v1alpha1\n"
        "kind: Broker\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\n"
        'spec: {connection: {addresses: ["redis:6379"]}}'
    )
