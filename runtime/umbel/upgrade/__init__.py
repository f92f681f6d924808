"""Reads a project that was written for Celery, tells what has to change, and rewrites what can be rewritten.

What Umbel offers is asked of Umbel itself (its modules, settings, options, commands), so this keeps no list of its own that could
grow old. Python is read and written by libcst, which the extra ``upgrade`` installs; it is imported here alone.
"""
