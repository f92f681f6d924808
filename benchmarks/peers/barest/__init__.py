"""The barest loop that still does the work, as the yardstick."""
