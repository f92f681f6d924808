"""The peers and us, measured by one harness in one run: `python -m benchmarks`, see README.md."""
