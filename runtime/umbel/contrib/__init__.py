"""Umbel beside frameworks: each module is imported only where its framework is in use."""
