"""Where the cluster is and how to log in: KUBECONFIG, else the pod's service account, else ~/.kube/config."""

import os
from pathlib import Path

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.incluster_config import load_incluster_config
from kubernetes.aio.config.kube_config import load_kube_config

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class NoClusterError(Exception):
    """No cluster is configured, or its configuration cannot be read."""


async def load_configuration() -> Configuration:
    """Read the connection settings, with a fresh token.

    Returns the client's configuration; in a pod it re-reads the token by itself as it is rotated.
    Raises NoClusterError with a sentence that says what to do.
    """
    configuration = Configuration()
    # From Python 3.13 on, OpenSSL refuses authorities that lack extensions which clusters have done without for
    # years, and kubectl accepts. Signatures, names and dates are verified all the same.
    configuration.disable_strict_ssl_verification = True
    kubeconfig = os.environ.get("KUBECONFIG")
    try:
        if kubeconfig:
            await load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        elif (_SERVICE_ACCOUNT / "token").exists():
            load_incluster_config(client_configuration=configuration)
        elif (home := Path.home() / ".kube" / "config").exists():
            await load_kube_config(config_file=str(home), client_configuration=configuration)
        else:
            raise NoClusterError(
                "No Kubernetes cluster is configured: KUBECONFIG is not set, there is no ~/.kube/config, and this is "
                "no pod with a service account. Set KUBECONFIG to a kubeconfig file."
            )
    except (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError) as error:
        where = f"KUBECONFIG={kubeconfig}" if kubeconfig else "the connection settings"
        raise NoClusterError(
            f"Cannot read {where}: {error}. Check that the file exists and is a kubeconfig."
        ) from error
    return configuration


def own_namespace() -> str | None:
    """Tell the namespace of the pod that this process runs in, or None outside of a cluster."""
    try:
        return (_SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
