"""Monitors and NetworkPolicies by the whole operator, on a real API server that has the kinds of the Prometheus operator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.operator.living import filled, operator, resource, until
from tests.operator.monitoringkinds import monitoring_crd

from umbel_operator.build.settings import Monitors, Settings
from umbel_operator.kube.access import missing_monitors
from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import Json
from umbel_operator.kube.resources import DEPLOYMENTS, NETWORKPOLICIES, PODMONITORS, SERVICEMONITORS, Resource

WithServer = Callable[[Callable[[Api, str], Awaitable[None]]], None]

GUARDED = Settings(
    beat_image="beat:1",
    network_policies=True,
    network_policy_namespaces=("monitoring",),
    monitors=Monitors(interval="15s", labels=(("release", "prometheus"),)),
)
MADE = (
    (SERVICEMONITORS, "default-beat"),
    (PODMONITORS, "mail-worker"),
    (NETWORKPOLICIES, "default-beat"),
    (NETWORKPOLICIES, "mail-worker"),
)


async def served(api: Api) -> bool | None:
    return not await missing_monitors(api) or None


def test_monitors_and_policies_are_made_and_come_back_when_they_are_deleted(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        for kind in ("ServiceMonitor", "PodMonitor"):
            await api.apply(monitoring_crd(kind))
        await until("the kinds of the Prometheus operator", lambda: served(api), 40)
        async with operator(api, namespace, settings=GUARDED):
            await filled(api, namespace)
            await until("the workers", lambda: api.get(DEPLOYMENTS, namespace, "mail-worker"), 40)
            for kind_, name in MADE:
                live = await until(f"{kind_.kind} {name}", lambda k=kind_, n=name: api.get(k, namespace, n), 40)  # type: ignore[misc]
                await api.delete(kind_, namespace, name)

                async def back(k: Resource = kind_, n: str = name, uid: str = live["metadata"]["uid"]) -> Json | None:
                    now = await api.get(k, namespace, n)
                    return now if now is not None and now["metadata"]["uid"] != uid else None

                again = await until(f"another {kind_.kind} {name}", back, 40)
                # Nothing of it was pruned, so the API server knew every field.
                assert again["spec"] == live["spec"]
            monitor = await api.get(PODMONITORS, namespace, "mail-worker")
            assert monitor is not None
            assert monitor["spec"]["podMetricsEndpoints"][0]["relabelings"][0]["targetLabel"] == "pool"
            assert monitor["metadata"]["labels"]["release"] == "prometheus"

    with_api_server(use)


def test_what_is_switched_off_goes_and_what_another_operator_made_stays(with_api_server: WithServer) -> None:
    """Given monitors and policies of an operator, when it comes back with these switched off, then they are gone; those of a
    resource that another operator serves are left alone."""

    async def use(api: Api, namespace: str) -> None:
        for kind in ("ServiceMonitor", "PodMonitor"):
            await api.apply(monitoring_crd(kind))
        await until("the kinds of the Prometheus operator", lambda: served(api), 40)
        async with operator(api, namespace, settings=GUARDED):
            await filled(api, namespace)
            for kind_, name in MADE:
                await until(f"{kind_.kind} {name}", lambda k=kind_, n=name: api.get(k, namespace, n), 40)  # type: ignore[misc]
        async with operator(api, namespace, settings=GUARDED, operator_class="other"):
            theirs = resource("Broker", "theirs", namespace, connection={"addresses": ["redis:6379"]}, keyPrefix="b")
            theirs["metadata"]["labels"] = {"umbel.dev/operator-class": "other"}
            await api.create(theirs)
            await until("their policy", lambda: api.get(NETWORKPOLICIES, namespace, "theirs-beat"), 40)
        async with operator(api, namespace):
            for kind_, name in MADE:

                async def gone(k: Resource = kind_, n: str = name) -> bool | None:
                    return await api.get(k, namespace, n) is None or None

                await until(f"{kind_.kind} {name} to go", gone, 40)
            assert await api.get(NETWORKPOLICIES, namespace, "theirs-beat") is not None
            assert await api.get(SERVICEMONITORS, namespace, "theirs-beat") is not None

    with_api_server(use)
