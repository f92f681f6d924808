"""A secret is planted, and everything that the operator writes or says is searched for it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.operator.living import OperatorProcess, broker, condition, installed, pool, queue, schedule, until

from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import Json
from umbel_operator.kube.resources import CONFIGMAPS, DEPLOYMENTS, EVENTS, OWN, SERVICES, WORKERPOOLS
from umbel_operator.kube.transport import Request

WithServer = Callable[[Any], None]

pytestmark = pytest.mark.timeout(120)


async def planted(api: Api, namespace: str, secret: str) -> None:
    """Put a secret wherever a user may: a Secret that a Broker refers to, and the environment of workers."""
    data = {"password": base64.b64encode(secret.encode()).decode()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "redis"}, "data": data}
    path = f"/api/v1/namespaces/{namespace}/secrets"
    await api.transport.send(Request("POST", path, what="make the Secret", body=body))
    made = broker(namespace)
    made["spec"]["connection"]["credentialsSecretRef"] = {"name": "redis"}
    await api.create(made)
    env = [{"name": "TOKEN", "value": secret}]
    bad = [{"name": "TOKEN", "value": secret, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    wrong = {"spec": {"containers": [{"name": "worker", "envv": env, "env": env}]}}
    broken = {"spec": {"containers": [{"name": "worker", "env": env, "resources": {"limits": {"cpu": secret}}}]}}
    for name, fields in (
        ("good", {"env": env}),
        ("refused", {"env": bad}),
        ("unknown", {"template": wrong}),
        ("quantity", {"template": broken}),
    ):
        await api.create(queue(name, namespace))
        await api.create(pool(name, namespace, **fields))
    await api.create(schedule("nightly", "good", namespace))
    # A Deployment of somebody else is in the way of this one.
    meta = {"name": "taken-worker", "namespace": namespace}
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i", "env": env}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": pod}
    await api.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
    await api.create(queue("taken", namespace))
    await api.create(pool("taken", namespace, env=env))


def said_by(obj: Json) -> Iterator[tuple[str, Any]]:
    """Go through what the operator says in an object, as against what the user has asked for in it."""
    place = f"{obj['kind']} {obj['metadata']['name']}"
    yield f"{place}: annotations", obj["metadata"].get("annotations")
    yield f"{place}: labels", obj["metadata"].get("labels")
    yield f"{place}: status", obj.get("status")
    if obj["kind"] in ("ConfigMap", "Service", "Event"):
        yield place, obj


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_planted_secret_is_nowhere(with_api_server: WithServer, tmp_path: Path, log_format: str) -> None:
    secret = f"hunter2-{uuid4().hex}"
    words = [secret, base64.b64encode(secret.encode()).decode()]

    async def use(api: Api, namespace: str) -> None:
        await installed(api)
        arguments = ("--log-level", "debug", "--log-format", log_format)
        async with OperatorProcess(os.environ["KUBECONFIG"], namespace, tmp_path / "log", *arguments) as one:
            await planted(api, namespace, secret)

            async def told(name: str) -> Json | None:
                found = await condition(api, WORKERPOOLS, namespace, name, "Progressing")
                return found if found and found["reason"] in ("TemplateInvalid", "ResourceConflict") else None

            deployed = await until("the workers", lambda: api.get(DEPLOYMENTS, namespace, "good-worker"), 60)
            assert secret in json.dumps(deployed["spec"]), "the secret was not planted"
            for name in ("refused", "unknown", "quantity", "taken"):
                await until(f"{name} to be refused", lambda n=name: told(n), 60)  # type: ignore[misc]
            await until("an event", lambda: some(api, namespace))
            found = [
                obj
                for kind in (*OWN, DEPLOYMENTS, CONFIGMAPS, SERVICES, EVENTS)
                for obj in await api.list_all(kind, namespace)
            ]
            assert {obj["kind"] for obj in found} >= {"Broker", "WorkerPool", "Deployment", "ConfigMap", "Event"}
            texts = [(place, json.dumps(what)) for obj in found for place, what in said_by(obj)]
            texts += [("metrics", (await one.ask("/metrics"))[1]), ("log", one.log())]
            assert [place for place, text in texts for word in words if word in text] == []

    with_api_server(use)


async def some(api: Api, namespace: str) -> list[Json] | None:
    return await api.list_all(EVENTS, namespace) or None
