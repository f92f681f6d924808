"""``python -m umbel`` is ``umbel``."""

from umbel.cli.main import main

main()
