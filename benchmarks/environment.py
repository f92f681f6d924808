"""A virtual environment for each peer, made on demand from its pinned requirements."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.errors import BenchmarkError

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
ROOT = HERE.parent
_ENVIRONMENTS = HERE / ".envs"
_STAMP = "stamp"


def ensure_environment(name: str) -> Path:
    """Return the folder of executables of the peer's environment, made anew if its requirements or Python changed."""
    folder = _ENVIRONMENTS / name
    stamp = _fingerprint(name)
    bin_dir = folder / "bin"
    if (folder / _STAMP).is_file() and (folder / _STAMP).read_text() == stamp:
        return bin_dir
    print(f"making the environment of {name} …", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True, symlinks=True)
    requirements = PEERS / name / "requirements.txt"
    command = [
        str(bin_dir / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        str(requirements),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(
            f"pip could not install {requirements.relative_to(ROOT)} for {name}:\n{done.stderr.strip()}"
        )
    (folder / _STAMP).write_text(stamp)
    return bin_dir


def installed_versions(bin_dir: Path) -> dict[str, str]:
    """Return what is installed in an environment: distribution -> version."""
    code = "from importlib.metadata import distributions as d\nfor i in d(): print(i.name, i.version)"
    done = subprocess.run([str(bin_dir / "python"), "-c", code], capture_output=True, text=True, check=True)
    return dict(sorted(line.split(maxsplit=1) for line in done.stdout.splitlines()))


def _fingerprint(name: str) -> str:
    """Return what the environment depends on: Python, the requirements, and our own metadata where it is installed."""
    digest = hashlib.sha256(sys.version.encode())
    requirements = (PEERS / name / "requirements.txt").read_bytes()
    digest.update(requirements)
    if b"-e ." in requirements:
        digest.update((ROOT / "pyproject.toml").read_bytes())
    return digest.hexdigest()
