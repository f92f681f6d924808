"""Write the golden files anew: `python -m tests.operator.chart.update`; then read the difference."""

from __future__ import annotations

import sys

from tests.operator.chart.rendering import GOLDEN, VALUE_SETS, golden_text


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for path in GOLDEN.glob("*.yaml"):
        if path.stem not in VALUE_SETS:
            path.unlink()
    for name in VALUE_SETS:
        target = GOLDEN / f"{name}.yaml"
        text = golden_text(name)
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {target.name}\n")


if __name__ == "__main__":
    main()
