"""arq as a peer."""
