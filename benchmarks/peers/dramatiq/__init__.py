"""dramatiq as a peer."""
