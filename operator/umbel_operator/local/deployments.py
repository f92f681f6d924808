"""Follow Deployments: as many pods as they want, of their newest template, and their status."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from umbel_operator.api.names import ANNOTATION_TEMPLATE_HASH, LABEL_BROKER, LABEL_COMPONENT
from umbel_operator.local.pod import Phase, Place, Pod
from umbel_operator.local.store import Store
from umbel_operator.plan.model import Manifest, Ref


class Deployments:
    """See the module.

    workdir: returns the folder in which the pods of a resource (kind, namespace, name) run.
    killed: called with (namespace, broker, uid of the pod) when a pod has ended without the time to drain.
    """

    def __init__(
        self,
        store: Store,
        place: Place,
        workdir: Callable[[str, str, str], Path],
        killed: Callable[[str, str, str], None],
    ) -> None:
        self._store = store
        self._place = place
        self._workdir = workdir
        self._killed = killed
        self._pods: dict[Ref, list[Pod]] = {}
        self._counts: dict[Ref, int] = {}

    def pods(self) -> list[Pod]:
        """Return all pods that are there, those on their way out too."""
        return [pod for pods in self._pods.values() for pod in pods]

    def step(self) -> None:
        """Start and stop what must be, and write the statuses of pods and Deployments."""
        live = {Ref.of(body): body for body in self._store.all("Deployment")}
        for pod in self.pods():
            pod.check()
        for ref in [*self._pods]:
            self._pods[ref] = [pod for pod in self._pods[ref] if not self._is_over(ref, pod)]
            if ref not in live:
                for pod in self._pods[ref]:
                    pod.leave()
                if not self._pods[ref]:
                    del self._pods[ref]
        for ref, deployment in live.items():
            self._follow(ref, deployment)
            self._store.set_status(ref, self._status(ref, deployment))
        for ref, pods in self._pods.items():
            for pod in pods:
                self._store.set_status(_pod_ref(ref, pod), pod.status())
                pod.refresh()

    async def stop(self, component: str) -> None:
        """Drain all pods of a component (worker or beat), and wait for their end."""
        pods = [pod for pod in self.pods() if _label(pod, LABEL_COMPONENT) == component]
        for pod in pods:
            pod.leave()
        await asyncio.gather(*(pod.gone() for pod in pods))

    def _is_over(self, ref: Ref, pod: Pod) -> bool:
        if pod.phase is not Phase.GONE:
            return False
        self._store.delete(_pod_ref(ref, pod))
        if pod.killed:
            self._killed(ref.namespace, _label(pod, LABEL_BROKER), pod.uid)
        return True

    def _follow(self, ref: Ref, deployment: Manifest) -> None:
        pods = self._pods.setdefault(ref, [])
        wanted, digest = int(deployment["spec"]["replicas"]), _template_hash(deployment)
        staying = [pod for pod in pods if pod.phase is not Phase.DRAINING]
        new = [pod for pod in staying if _hash_of(pod) == digest]
        old = [pod for pod in staying if _hash_of(pod) != digest]
        if deployment["spec"]["strategy"]["type"] == "Recreate" and (old or any(_hash_of(p) != digest for p in pods)):
            kept = 0
        else:
            for _ in range(wanted - len(new)):
                new.append(self._start(ref, deployment))
            # An old pod goes for each new one that is ready.
            kept = max(0, wanted - sum(pod.phase is Phase.READY for pod in new))
        for pod in [*_first_to_go(old)[: len(old) - kept], *_first_to_go(new)[: len(new) - wanted]]:
            pod.leave()

    def _start(self, ref: Ref, deployment: Manifest) -> Pod:
        number = self._counts[ref] = self._counts.get(ref, 0) + 1
        template = deployment["spec"]["template"]
        metadata = {
            **template["metadata"],
            "name": f"{ref.name}-{number}",
            "namespace": ref.namespace,
            "uid": str(uuid.uuid4()),
        }
        annotations = {**(metadata.get("annotations") or {}), ANNOTATION_TEMPLATE_HASH: _template_hash(deployment)}
        metadata["annotations"] = annotations
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        owner = deployment["metadata"]["ownerReferences"][0]
        workdir = self._workdir(owner["kind"], ref.namespace, owner["name"])
        pod = Pod(manifest, metadata["labels"][LABEL_COMPONENT], workdir, self._place)
        self._store.apply(manifest)
        self._pods[ref].append(pod)
        return pod

    def _status(self, ref: Ref, deployment: Manifest) -> dict[str, Any]:
        pods = [pod for pod in self._pods[ref] if pod.phase is not Phase.DRAINING]
        ready = sum(pod.phase is Phase.READY for pod in pods)
        updated = sum(_hash_of(pod) == _template_hash(deployment) for pod in pods)
        enough = ready >= int(deployment["spec"]["replicas"])
        return {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(pods),
            "updatedReplicas": updated,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": [{"type": "Available", "status": "True" if enough else "False"}],
        }


def _first_to_go(pods: list[Pod]) -> list[Pod]:
    """Order pods: those that are not ready first, then the youngest."""
    order = sorted(range(len(pods)), key=lambda number: (pods[number].phase is Phase.READY, -number))
    return [pods[number] for number in order]


def _template_hash(deployment: Manifest) -> str:
    return str(deployment["metadata"]["annotations"][ANNOTATION_TEMPLATE_HASH])


def _hash_of(pod: Pod) -> str:
    return str(pod.manifest["metadata"]["annotations"][ANNOTATION_TEMPLATE_HASH])


def _label(pod: Pod, name: str) -> str:
    return str(pod.manifest["metadata"]["labels"].get(name, ""))


def _pod_ref(ref: Ref, pod: Pod) -> Ref:
    return Ref("v1", "Pod", ref.namespace, pod.name)
