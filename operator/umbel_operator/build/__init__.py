"""Pure functions from resources to the objects that should exist, as plain dicts."""
