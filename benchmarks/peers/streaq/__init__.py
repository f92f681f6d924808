"""streaQ as a peer."""
