"""One folder for each task queue that is measured: requirements.txt, tasks.py, adapter.py."""
