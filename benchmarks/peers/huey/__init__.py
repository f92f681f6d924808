"""Huey as a peer."""
