"""Write manifests/install/umbel.yaml, the chart's default render for kubectl: render_install.py HELM [--check]."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "manifests" / "install" / "umbel.yaml"
HEADER = "# Generated from charts/umbel by `make generate`; edit the chart.\n"
#: Labels that only an installation by Helm may bear.
HELM_LABELS = ("helm.sh/chart:", "app.kubernetes.io/managed-by: Helm")


def render(helm: str) -> str:
    """Render the chart with its default values, without the traces of Helm."""
    command = [helm, "template", "umbel", str(ROOT / "charts" / "umbel"), "--namespace", "umbel-system"]
    # `helm.sh/resource-policy` means nothing to kubectl, and it would run the test at once.
    command += ["--set", "crds.keep=false", "--skip-tests"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return HEADER + "".join(line for line in text.splitlines(True) if not line.strip().startswith(HELM_LABELS))


def main(helm: str, *options: str) -> int:
    text = render(helm)
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in options:
        sys.stderr.write(f"{TARGET.relative_to(ROOT)} differs from the chart; run: make generate\n")
        return 1
    TARGET.write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote {TARGET.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
