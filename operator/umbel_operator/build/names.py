"""Name the children of a resource."""

from __future__ import annotations

#: Where things are in pods.
BROKER_DIR = "/etc/umbel/broker"
CONFIG_DIR = "/etc/umbel/config"
#: The one port of workers and beat: /livez, /readyz, and for beat /v1/status.
HTTP_PORT = 8080

INDEX_FILE = "index.json"


def worker_deployment(pool: str) -> str:
    """Name the Deployment of a WorkerPool, its disruption budget, NetworkPolicy and PodMonitor."""
    return f"{pool}-worker"


def beat(broker: str) -> str:
    """Name the Deployment, the Service, the NetworkPolicy and the ServiceMonitor of a Broker's beat."""
    return f"{broker}-beat"


def client_config(broker: str) -> str:
    """Name the ConfigMap by which producers find a Broker."""
    return f"{broker}-client"


def config_index(broker: str) -> str:
    """Name the ConfigMap with the index of a Broker's configuration."""
    return f"{broker}-config-index"


def config_shard(broker: str, number: int) -> str:
    """Name the ConfigMap with one shard of a Broker's configuration."""
    return f"{broker}-config-{number:03d}"


def shard_file(number: int) -> str:
    """Name the file that a shard is mounted as."""
    return f"shard-{number:03d}.json"
