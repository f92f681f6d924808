"""The executor against a real API server: create first, apply, drift, conflicts, refusals."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.operator.living import until

from umbel_operator.kube.client import Api, was_only_created
from umbel_operator.kube.errors import ForbiddenError, Json
from umbel_operator.kube.events import Recorder
from umbel_operator.kube.resources import CONFIGMAPS, DEPLOYMENTS, EVENTS, NAMESPACES, SERVICES
from umbel_operator.kube.transport import Request
from umbel_operator.plan.model import Apply, Delete, Event, Patch, Ref
from umbel_operator.runtime.cache import Cache
from umbel_operator.runtime.executor import Executor, Outcome
from umbel_operator.runtime.ledger import Ledger, stamped


class Bench:
    """An executor whose cache follows its own writes only, and an owner: a ConfigMap stands in for a resource."""

    def __init__(self, api: Api, namespace: str, owner: Json) -> None:
        self.api = api
        self.namespace = namespace
        self.owner = owner
        self.cache = Cache([DEPLOYMENTS, CONFIGMAPS, SERVICES])
        self.recorder = Recorder(api, instance="test")
        self.answered: list[Json] = []
        self.executor = Executor(api, self.cache, Ledger(), self.recorder, self.take)

    def take(self, obj: Json) -> None:
        self.answered.append(obj)
        self.cache.apply(None, obj)

    @classmethod
    async def make(cls, api: Api, namespace: str) -> "Bench":
        meta = {"name": "owner", "namespace": namespace}
        return cls(api, namespace, await api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}))

    async def run(self, *actions: Any) -> Outcome:
        return await self.executor.execute(self.owner, actions)

    def deployment(self, **container: Any) -> dict[str, Any]:
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self.meta("mail-worker"),
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"umbel.dev/pool": "mail"}},
                "template": {
                    "metadata": {"labels": {"umbel.dev/pool": "mail"}},
                    "spec": {"containers": [{"name": "worker", "image": "shop:1", **container}]},
                },
            },
        }

    def config(self, name: str = "settings", **data: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self.meta(name), "data": data}

    def meta(self, name: str) -> dict[str, Any]:
        reference = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": "owner",
            "uid": self.owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": False,
        }
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": {"app.kubernetes.io/managed-by": "umbel-operator"},
            "ownerReferences": [reference],
        }

    async def edit(self, patch: Json) -> Json:
        """Patch the Deployment as somebody else."""
        request = Request(
            "PATCH",
            DEPLOYMENTS.path(self.namespace, "mail-worker"),
            what="edit by hand",
            query={"fieldManager": "kubectl-edit"},
            body=patch,
            content_type="application/merge-patch+json",
        )
        return (await self.api.transport.send(request)).body

    async def live(self) -> Json:
        found = await self.api.get(DEPLOYMENTS, self.namespace, "mail-worker")
        assert found is not None
        return found


WithServer = Callable[[Any], None]


def test_the_first_apply_creates_and_the_same_wish_makes_no_request(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        first = await bench.run(Apply(bench.deployment()))
        assert (first.changed, first.failures) == (True, [])
        assert (await bench.run(Apply(bench.deployment()))).changed is False
        assert len(bench.answered) == 1

    with_api_server(use)


def test_an_apply_without_change_leaves_the_object_as_it_is(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        await bench.run(Apply(bench.config(a="1")))
        await bench.run(Apply(bench.config(a="2")))
        before = await api.get(CONFIGMAPS, namespace, "settings")
        assert await api.apply(stamped(bench.config(a="2"))) == before

    with_api_server(use)


def test_a_field_that_is_not_wanted_any_more_goes_though_the_object_was_created_by_a_post(
    with_api_server: WithServer,
) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        await bench.run(Apply(bench.deployment(workingDir="/app", env=[{"name": "A", "value": "1"}])))
        assert was_only_created(await bench.live())
        outcome = await bench.run(Apply(bench.deployment()))
        container = (await bench.live())["spec"]["template"]["spec"]["containers"][0]
        assert outcome.failures == []
        assert "workingDir" not in container
        assert "env" not in container

    with_api_server(use)


def test_an_object_that_has_taken_the_place_of_the_known_one_is_left_alone(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        await bench.run(Apply(bench.config(a="1")))
        # The watch has not told yet: it is gone, and somebody else made one of the name.
        await api.delete(CONFIGMAPS, namespace, "settings")
        foreign = {"name": "settings", "namespace": namespace}
        await api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": foreign, "data": {"mine": "1"}})
        outcome = await bench.run(Apply(bench.config(a="2")))
        assert [failure.reason for failure in outcome.failures] == ["Unavailable"]
        assert outcome.retry
        found = await api.get(CONFIGMAPS, namespace, "settings")
        assert found is not None
        assert found["data"] == {"mine": "1"}

    with_api_server(use)


def test_a_child_that_is_gone_is_not_made_by_an_apply(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        await bench.run(Apply(bench.config(a="1")))
        await api.delete(CONFIGMAPS, namespace, "settings")
        outcome = await bench.run(Apply(bench.config(a="2")))
        assert [failure.reason for failure in outcome.failures] == ["Unavailable"]
        bench.cache.apply("DELETED", bench.answered[-1])
        assert (await bench.run(Apply(bench.config(a="2")))).failures == []
        assert await api.get(CONFIGMAPS, namespace, "settings") is not None

    with_api_server(use)


def test_a_hand_edit_is_undone_and_what_others_added_stays(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        await bench.run(Apply(bench.deployment()))
        bench.cache.apply("MODIFIED", await bench.edit({"spec": {"replicas": 5}}))
        bench.cache.apply("MODIFIED", await bench.edit({"metadata": {"annotations": {"team": "blue"}}}))
        assert (await bench.run(Apply(bench.deployment()))).changed is True
        live = await bench.live()
        assert live["spec"]["replicas"] == 0
        assert live["metadata"]["annotations"]["team"] == "blue"

    with_api_server(use)


def test_a_deleted_child_comes_back(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        await bench.run(Apply(bench.config(a="1")))
        live = await api.get(CONFIGMAPS, namespace, "settings")
        assert live is not None
        await api.delete(CONFIGMAPS, namespace, "settings")
        bench.cache.apply("DELETED", live)
        assert (await bench.run(Apply(bench.config(a="1")))).changed is True
        assert await api.get(CONFIGMAPS, namespace, "settings") is not None

    with_api_server(use)


def test_an_object_of_somebody_else_is_never_taken(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        foreign = {**bench.config(a="theirs"), "metadata": {"name": "settings", "namespace": namespace}}
        await api.create(foreign)
        outcome = await bench.run(Apply(bench.config(a="ours")), Apply(bench.config("other", b="2")))
        (failure,) = outcome.failures
        assert (failure.reason, failure.ref.name, outcome.retry) == ("ResourceConflict", "settings", True)
        assert "was made by someone else. Delete or rename it" in failure.message
        live = await api.get(CONFIGMAPS, namespace, "settings")
        assert live is not None
        assert live["data"] == {"a": "theirs"}
        assert await api.get(CONFIGMAPS, namespace, "other") is not None

    with_api_server(use)


def test_what_was_left_behind_by_an_orphaning_delete_is_taken_over(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        left = bench.config(a="1")
        del left["metadata"]["ownerReferences"]
        await api.create(left)
        assert (await bench.run(Apply(bench.config(a="2")))).failures == []
        live = await api.get(CONFIGMAPS, namespace, "settings")
        assert live is not None
        assert live["data"] == {"a": "2"}
        assert live["metadata"]["ownerReferences"][0]["uid"] == bench.owner["metadata"]["uid"]

    with_api_server(use)


@pytest.mark.parametrize(
    ("container", "said"),
    [
        ({"imagee": "typo"}, "imagee"),
        ({"resources": {"requests": {"cpu": "lots"}}}, "quantit"),
        ({"name": "not a name"}, "Invalid value"),
    ],
)
@pytest.mark.parametrize("exists", [False, True], ids=["create", "apply"])
def test_a_template_that_the_api_server_refuses_is_said_so_for_good(
    with_api_server: WithServer, container: dict[str, Any], said: str, exists: bool
) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        if exists:
            await bench.run(Apply(bench.deployment()))
        outcome = await bench.run(Apply(bench.deployment(**container)))
        (failure,) = outcome.failures
        assert failure.reason == "TemplateInvalid"
        assert said in failure.message
        assert outcome.retry is False
        assert bool(await api.get(DEPLOYMENTS, namespace, "mail-worker")) is exists

    with_api_server(use)


def test_patches_and_deletions_of_what_is_gone_are_no_failures(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        ref = Ref("v1", "ConfigMap", namespace, "nothing")
        outcome = await bench.run(Patch(ref, {"data": {"a": "1"}}), Delete(ref, "some-uid"))
        assert (outcome.failures, outcome.changed) == ([], False)

    with_api_server(use)


def test_a_hint_on_a_pod_that_is_refused_is_no_failure(with_api_server: WithServer) -> None:
    """A nudge of beat's pods, or a deletion cost: all works without."""

    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        spec = {"containers": [{"name": "beat", "image": "beat:1"}], "automountServiceAccountToken": False}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "beat", "namespace": namespace}, "spec": spec}

        async def made() -> Json | None:
            try:
                return await api.create(pod)
            except ForbiddenError:
                return None  # the account `default` of a new namespace is a moment behind it

        await until("the pod", made)
        bad = {"metadata": {"annotations": {"no key at all!": "1"}}}
        outcome = await bench.run(Patch(Ref("v1", "Pod", namespace, "beat"), bad), Apply(bench.config(a="1")))
        assert (outcome.failures, outcome.changed) == ([], True)

    with_api_server(use)


def test_only_the_incarnation_that_was_planned_is_deleted(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        made = await api.create(bench.config(a="1"))
        ref = Ref.of(made)
        assert (await bench.run(Delete(ref, "another-uid"))).changed is False
        assert await api.get(CONFIGMAPS, namespace, "settings") is not None
        assert (await bench.run(Delete(ref, made["metadata"]["uid"]))).changed is True
        assert await api.get(CONFIGMAPS, namespace, "settings") is None

    with_api_server(use)


def test_a_patch_of_a_stale_object_is_refused_and_tried_again_later(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        made = await api.create(bench.config(a="1"))
        await api.merge_patch(CONFIGMAPS, namespace, "settings", {"data": {"a": "2"}})
        stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"], "finalizers": ["umbel.dev/x"]}}
        outcome = await bench.run(Patch(Ref.of(made), stale))
        assert [failure.reason for failure in outcome.failures] == ["Unavailable"]
        assert outcome.retry is True

    with_api_server(use)


def test_a_namespace_that_goes_away_is_no_failure(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        held = {**bench.config("held"), "metadata": {**bench.meta("held"), "finalizers": ["umbel.dev/test"]}}
        await api.create(held)
        await api.delete(NAMESPACES, None, namespace)
        outcome = await bench.run(Apply(bench.config(a="1")))
        assert (outcome.failures, outcome.terminating, outcome.retry) == ([], True, False)
        await api.merge_patch(CONFIGMAPS, namespace, "held", {"metadata": {"finalizers": None}})

    with_api_server(use)


def test_equal_events_become_one_series_on_the_resource(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        now = 1_800_000_000.0
        bench = await Bench.make(api, namespace)
        recorder = Recorder(api, instance="test", clock=lambda: now)
        for _ in range(5):
            await recorder.write(bench.owner, "Warning", "QueueNotFound", "no TaskQueue mail")
        now += 61
        await recorder.write(bench.owner, "Warning", "QueueNotFound", "no TaskQueue mail")
        await recorder.write(bench.owner, "Normal", "DeploymentApplied", "applied")
        events = await api.list_all(EVENTS, namespace)
        found = {event["reason"]: event for event in events if event["regarding"]["name"] == "owner"}
        assert found["QueueNotFound"]["series"]["count"] == 6
        assert found["QueueNotFound"]["reportingController"] == "umbel.dev/operator"
        assert found["DeploymentApplied"].get("series") is None
        assert len(found) == 2

    with_api_server(use)


def test_an_apply_that_changed_something_is_told_as_an_event(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        bench = await Bench.make(api, namespace)
        bench.recorder.start()
        event = Event("Normal", "DeploymentApplied", "applied Deployment mail-worker")
        for _ in range(3):
            await bench.run(Apply(bench.deployment(), event))
        await bench.recorder.stop()
        events = await api.list_all(EVENTS, namespace)
        assert [e["note"] for e in events if e["reason"] == "DeploymentApplied"] == [event.message]

    with_api_server(use)
