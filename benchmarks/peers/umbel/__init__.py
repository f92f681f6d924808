"""Umbel, ourselves."""
