"""Umbel: a Kubernetes-native task platform for Python."""

__version__ = "0.1.0"
