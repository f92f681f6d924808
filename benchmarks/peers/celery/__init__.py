"""Celery as a peer."""
