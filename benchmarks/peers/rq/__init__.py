"""RQ as a peer."""
