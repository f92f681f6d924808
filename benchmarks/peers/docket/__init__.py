"""docket as a peer."""
