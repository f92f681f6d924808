"""The command line: ``umbel -A module[:app] COMMAND``."""
