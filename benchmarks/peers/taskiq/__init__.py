"""taskiq as a peer."""
