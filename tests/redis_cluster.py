"""A Redis Cluster of three masters with a replica each, as real processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
from redis.cluster import ClusterNode
from tests.ports import free_port
from tests.redis_server import RedisServer
from tests.workers import until

MASTERS = 3
SLOTS = 16384


class Node(RedisServer):
    """One node."""

    def __init__(self, node_timeout: int, arguments: tuple[str, ...], password: str | None) -> None:
        more: tuple[str, ...] = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout))
        more += ("--cluster-replica-validity-factor", "0")
        more += ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
        super().__init__(arguments=(*more, *arguments), password=password)
        self.port = free_port(bus=True)
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self, *words: str | int) -> Any:
        """Send one command to this node."""
        with self.client() as client:
            return client.execute_command(*words)

    def id(self) -> str:
        """Return its name in the cluster."""
        return _text(self.command("CLUSTER", "MYID"))

    def is_master(self) -> bool:
        """Return whether it is there and a master."""
        return self.role() == "master"

    def info(self) -> dict[str, str]:
        """Return what it says of the cluster."""
        said = self.command("CLUSTER", "INFO")
        if isinstance(said, dict):
            return {_text(name): _text(value) for name, value in said.items()}
        return dict(line.split(":", 1) for line in _text(said).splitlines() if ":" in line)


class RedisCluster:
    """The nodes, with ways to see and to break them.

    Args:
        node_timeout: milliseconds of silence after which a node is taken for dead.
        arguments: more of each node's command line.
        password: of all nodes.
    """

    def __init__(
        self, *, node_timeout: int = 5000, arguments: tuple[str, ...] = (), password: str | None = None
    ) -> None:
        if password:
            arguments += ("--requirepass", password, "--masterauth", password)
        self._password = password
        self.nodes = [Node(node_timeout, arguments, password) for _ in range(2 * MASTERS)]

    @property
    def url(self) -> str:
        """What an app is given, without credentials: two of the nodes."""
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port},127.0.0.1:{self.nodes[1].port}"

    def start(self) -> None:
        """Start all nodes, make them a cluster, and wait until all agree that it is one."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(Node.start, self.nodes))
        masters, replicas = self.nodes[:MASTERS], self.nodes[MASTERS:]
        bounds = [number * SLOTS // MASTERS for number in range(MASTERS + 1)]
        for number, node in enumerate(self.nodes):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < MASTERS:
                node.command("CLUSTER", "ADDSLOTS", *range(bounds[number], bounds[number + 1]))
            for other in self.nodes[:number]:  # gossip would come to it too, seconds later
                node.command("CLUSTER", "MEET", "127.0.0.1", other.port)
        until(lambda: all(node.info()["cluster_known_nodes"] == "6" for node in self.nodes), "the nodes have met", 60)
        for master, replica in zip(masters, replicas, strict=True):
            name = master.id()
            until(lambda: self._knows(replica, name), "the replica knows its master")  # noqa: B023 - at once
            replica.command("CLUSTER", "REPLICATE", name)
        until(self.whole, "the cluster is whole", 60)

    @staticmethod
    def _knows(replica: Node, master: str) -> bool:
        return master in str(replica.command("CLUSTER", "NODES"))

    def whole(self) -> bool:
        """Return whether all slots are served and each master has a replica that is up to date."""
        masters = [node for node in self.nodes if node.is_master()]
        try:
            return (
                len(masters) == MASTERS
                and all(
                    node.info()["cluster_state"] == "ok" and len(node.command("CLUSTER", "SLOTS")) == MASTERS
                    for node in self.nodes
                )
                and all(any(int(one[2]) > 0 for one in node.command("ROLE")[2]) for node in masters)
            )
        except redis.RedisError:
            return False

    def client(self) -> Any:
        """Return a client for all nodes, for looking from outside."""
        nodes = [ClusterNode("127.0.0.1", node.port) for node in self.nodes]  # type: ignore[no-untyped-call]
        return redis.RedisCluster(startup_nodes=nodes, protocol=2, password=self._password)

    def master_of(self, key: str) -> Node:
        """Return the node that serves a key."""
        for asked in self.nodes:
            try:
                slot = int(asked.command("CLUSTER", "KEYSLOT", key))
                served = [entry for entry in _ranges(asked) if entry[0] <= slot <= entry[1]]
            except redis.RedisError:
                continue
            return next(node for node in self.nodes if node.port == served[0][2])
        raise AssertionError("no node answers")

    def remove(self) -> None:
        """Kill all nodes and delete their data."""
        for node in self.nodes:
            node.go_on()
            node.remove()


def _ranges(node: Node) -> list[tuple[int, int, int]]:
    """Return first slot, last slot and the master's port of each range, as a node sees it."""
    with node.client() as client:
        client.response_callbacks.clear()
        answer = client.execute_command("CLUSTER", "SLOTS")
    return [(int(entry[0]), int(entry[1]), int(entry[2][1])) for entry in answer]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
