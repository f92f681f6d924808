"""How pods reach a Broker's Redis: address and key prefix as variables, credentials as files."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from umbel_operator.api.broker import Broker
from umbel_operator.build.names import BROKER_DIR

_VOLUME = "umbel-broker"


def key_prefix(broker: Broker) -> str:
    """Return the first part of the Broker's Redis keys."""
    return broker.spec.key_prefix or f"umbel:{broker.namespace}:{broker.name}"


def broker_url(broker: Broker) -> str:
    """Return the URL of the Broker's Redis, without user or password."""
    connection = broker.spec.connection
    scheme = "redis" if connection.tls is None else "rediss"
    # In a fixed order: that of a set may differ from one reading to the next, and would roll every pod.
    addresses = ",".join(sorted(connection.addresses))
    match connection.type:
        case "Sentinel":
            assert connection.sentinel is not None
            return f"{scheme}+sentinel://{addresses}/{quote(connection.sentinel.master_name, safe='')}/{connection.database}"
        case "Cluster":
            return f"{scheme}+cluster://{addresses}"
        case _:
            return f"{scheme}://{addresses}/{connection.database}"


def client_env(broker: Broker) -> dict[str, str]:
    """Return the variables by which any process finds the Broker, in a stable order."""
    env = {"UMBEL_BROKER_URL": broker_url(broker), "UMBEL_KEY_PREFIX": key_prefix(broker)}
    credentials, tls = broker.spec.connection.credentials_secret_ref, broker.spec.connection.tls
    if credentials is not None:
        if credentials.username_key is not None:
            env["UMBEL_BROKER_USERNAME_FILE"] = f"{BROKER_DIR}/username"
        env["UMBEL_BROKER_PASSWORD_FILE"] = f"{BROKER_DIR}/password"
    if tls is not None:
        if tls.ca_secret_ref is not None:
            env["UMBEL_BROKER_CA_FILE"] = f"{BROKER_DIR}/ca.crt"
        if tls.client_cert_secret_ref is not None:
            env["UMBEL_BROKER_CERT_FILE"] = f"{BROKER_DIR}/tls.crt"
            env["UMBEL_BROKER_KEY_FILE"] = f"{BROKER_DIR}/tls.key"
        if tls.server_name is not None:
            env["UMBEL_BROKER_TLS_SERVER_NAME"] = tls.server_name
    return env


def broker_volumes(broker: Broker) -> list[dict[str, Any]]:
    """Return the volume with credentials and certificates, or none; the kubelet keeps the files up to date."""
    sources = _secret_sources(broker)
    if not sources:
        return []
    return [{"name": _VOLUME, "projected": {"defaultMode": 0o440, "sources": sources}}]


def broker_mounts(broker: Broker) -> list[dict[str, Any]]:
    """Return the mount of that volume, or none; a whole directory, since single files would never be refreshed."""
    if not _secret_sources(broker):
        return []
    return [{"name": _VOLUME, "mountPath": BROKER_DIR, "readOnly": True}]


def _secret_sources(broker: Broker) -> list[dict[str, Any]]:
    sources: list[dict[str, Any]] = []
    credentials, tls = broker.spec.connection.credentials_secret_ref, broker.spec.connection.tls
    if credentials is not None:
        items = [(credentials.password_key, "password")]
        if credentials.username_key is not None:
            items.insert(0, (credentials.username_key, "username"))
        sources.append(_source(credentials.name, items))
    if tls is not None and tls.ca_secret_ref is not None:
        sources.append(_source(tls.ca_secret_ref.name, [(tls.ca_secret_ref.key, "ca.crt")]))
    if tls is not None and tls.client_cert_secret_ref is not None:
        sources.append(_source(tls.client_cert_secret_ref.name, [("tls.crt", "tls.crt"), ("tls.key", "tls.key")]))
    return sources


def _source(secret: str, items: list[tuple[str, str]]) -> dict[str, Any]:
    return {"secret": {"name": secret, "items": [{"key": key, "path": path} for key, path in items]}}
