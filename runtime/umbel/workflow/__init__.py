"""Workflows at run time: the graph that is stored once, how a step advances it, and how it can be looked at."""
