"""Pure functions from what is observed to what is to be done, and what to say about it."""
