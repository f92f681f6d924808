"""The cache: events, lists, and what happens where both meet."""

from typing import Any

import pytest

from umbel_operator.kube.resources import BROKERS, DEPLOYMENTS, SCHEDULES
from umbel_operator.runtime.cache import Cache


def schedule(name: str, version: int, uid: str | None = None, namespace: str = "shop") -> dict[str, Any]:
    return {
        "apiVersion": "umbel.dev/v1alpha1",
        "kind": "Schedule",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
        },
    }


@pytest.fixture
def cache() -> Cache:
    return Cache([SCHEDULES, DEPLOYMENTS])


def names(cache: Cache, namespace: str | None = None) -> list[str]:
    return sorted(obj["metadata"]["name"] for obj in cache.all(SCHEDULES, namespace))


def test_it_is_synced_when_each_kind_was_listed_in_each_scope() -> None:
    cache = Cache([SCHEDULES, BROKERS], ("a", "b"))
    for resource, scope in ((SCHEDULES, "a"), (SCHEDULES, "b"), (BROKERS, "a")):
        cache.replace(resource, scope, [], cache.mark())
        assert not cache.synced
    assert cache.unlisted() == ["brokers"]
    cache.replace(BROKERS, "b", [], cache.mark())
    assert cache.synced


def test_events_alone_never_make_it_synced(cache: Cache) -> None:
    cache.apply("ADDED", schedule("a", 1))
    assert not cache.synced


def test_an_event_says_what_was_and_what_is(cache: Cache) -> None:
    added = cache.apply("ADDED", schedule("a", 1))
    modified = cache.apply("MODIFIED", schedule("a", 2))
    deleted = cache.apply("DELETED", schedule("a", 3))
    assert added is not None
    assert (added.old, added.new) == (None, schedule("a", 1))
    assert modified is not None
    assert (modified.old, modified.new) == (schedule("a", 1), schedule("a", 2))
    assert deleted is not None
    assert (deleted.old, deleted.new) == (schedule("a", 2), None)
    assert deleted.object == schedule("a", 2)


def test_a_repeated_event_says_nothing(cache: Cache) -> None:
    cache.apply("ADDED", schedule("a", 2))
    assert cache.apply(None, schedule("a", 2)) is None
    assert cache.apply("MODIFIED", schedule("a", 1)) is None
    assert cache.get(SCHEDULES, "shop", "a") == schedule("a", 2)


def test_a_deletion_of_another_object_of_the_same_name_is_ignored(cache: Cache) -> None:
    cache.apply("ADDED", schedule("a", 1, uid="first"))
    cache.apply("ADDED", schedule("a", 5, uid="second"))
    assert cache.apply("DELETED", schedule("a", 4, uid="first")) is None
    assert cache.apply("MODIFIED", schedule("a", 3, uid="first")) is None
    assert cache.get(SCHEDULES, "shop", "a") == schedule("a", 5, uid="second")


def test_what_was_deleted_does_not_come_back_by_a_late_event(cache: Cache) -> None:
    cache.apply("DELETED", schedule("a", 5))
    assert cache.apply("MODIFIED", schedule("a", 4)) is None
    assert names(cache) == []


def test_a_list_takes_the_place_of_all_that_was_known(cache: Cache) -> None:
    for n, name in enumerate(("gone", "same", "changed")):
        cache.apply("ADDED", schedule(name, n + 1))
    mark = cache.mark()
    changes = cache.replace(SCHEDULES, None, [schedule("same", 2), schedule("changed", 9), schedule("new", 8)], mark)
    assert names(cache) == ["changed", "new", "same"]
    assert sorted(change.object["metadata"]["name"] for change in changes) == ["changed", "gone", "new"]
    assert [change.new for change in changes if change.object["metadata"]["name"] == "gone"] == [None]


def test_a_list_covers_its_namespace_only(cache: Cache) -> None:
    cache.apply("ADDED", schedule("a", 1, namespace="one"))
    cache.apply("ADDED", schedule("b", 2, uid="b2", namespace="two"))
    cache.replace(SCHEDULES, "one", [], cache.mark())
    assert names(cache) == ["b"]
    assert names(cache, "one") == []


def test_what_came_after_the_list_was_asked_for_stays(cache: Cache) -> None:
    cache.apply("ADDED", schedule("edited", 1))
    cache.apply("ADDED", schedule("deleted", 2))
    mark = cache.mark()
    cache.apply("MODIFIED", schedule("edited", 7))
    cache.apply("DELETED", schedule("deleted", 8))
    cache.apply("ADDED", schedule("created", 9))
    cache.replace(SCHEDULES, None, [schedule("edited", 1), schedule("deleted", 2)], mark)
    assert names(cache) == ["created", "edited"]
    assert cache.get(SCHEDULES, "shop", "edited") == schedule("edited", 7)


def test_a_list_newer_than_the_event_wins(cache: Cache) -> None:
    mark = cache.mark()
    cache.apply("MODIFIED", schedule("a", 3))
    cache.replace(SCHEDULES, None, [schedule("a", 6)], mark)
    assert cache.get(SCHEDULES, "shop", "a") == schedule("a", 6)


def test_after_a_restored_etcd_the_list_wins_though_its_versions_are_lower(cache: Cache) -> None:
    cache.apply("ADDED", schedule("a", 900))
    cache.replace(SCHEDULES, None, [schedule("a", 17)], cache.mark())
    assert cache.get(SCHEDULES, "shop", "a") == schedule("a", 17)


def test_children_are_found_by_the_uid_of_their_owner(cache: Cache) -> None:
    child: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "mail-worker",
            "namespace": "shop",
            "uid": "d1",
            "resourceVersion": "1",
            "ownerReferences": [{"uid": "pool"}],
        },
    }
    cache.apply("ADDED", child)
    assert cache.indexed("pool") == [child]
    orphan = {**child, "metadata": {**child["metadata"], "ownerReferences": [], "resourceVersion": "2"}}
    cache.apply("MODIFIED", orphan)
    assert cache.indexed("pool") == []
    cache.apply("MODIFIED", {**child, "metadata": {**child["metadata"], "resourceVersion": "3"}})
    cache.apply("DELETED", child)
    assert cache.indexed("pool") == []
