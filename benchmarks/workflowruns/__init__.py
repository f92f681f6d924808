"""What `benchmarks.workflows` has run: by us, and by Celery."""
