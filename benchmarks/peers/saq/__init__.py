"""SAQ as a peer."""
