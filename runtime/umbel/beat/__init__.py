"""beat: enqueue what is due, once, from the app's own schedule and from a directory of definitions."""
