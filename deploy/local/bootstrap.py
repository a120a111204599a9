"""Create the project's virtual environment: `python3 -m deploy.local.bootstrap .venv`.

It needs nothing but Python's standard library. An environment made from the same `pyproject.toml`
and constraints is left as it is, which takes 50 ms.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from deploy.local.install_packages import Requirement, RequirementsNotMet, install_missing

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT / "pyproject.toml", ROOT / "constraints.txt")
EXTRAS = "gateway,lxd-worker,metrics,snapshots,postgresql,local,dev"
OLDEST = (3, 11)


def main() -> int:
    """Create the environment that the command line names; print expected errors in a line."""
    try:
        ensure(Path(sys.argv[1]))
    except RequirementsNotMet as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


def ensure(environment: Path) -> None:
    """Create the environment, unless it is up to date. Raises RequirementsNotMet."""
    if sys.version_info < OLDEST:
        raise RequirementsNotMet(
            f"Python 3.11 or newer is required; {sys.executable} is {sys.version}"
        )
    stamp = environment / "made-from"
    sources = fingerprint([file.read_bytes() for file in SOURCES], sys.version, environment)
    if stamp.exists() and stamp.read_text() == sources:
        return
    install_missing([_venv_need()], os.environ)
    print(f"Installing the project and its Python packages into {environment}", flush=True)
    _make(environment)
    _run_in(environment, "deploy.local.console_page")
    stamp.write_text(sources)


def fingerprint(sources: list[bytes], python: str, environment: Path) -> str:
    """Return a digest of an environment's sources, Python and path."""
    digest = hashlib.sha256()
    for part in (*sources, python.encode(), str(environment.absolute()).encode()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _run_in(environment: Path, module: str) -> None:
    """Run one of our modules on the environment's Python; it prints its own errors."""
    subprocess.run([str(environment / "bin" / "python"), "-m", module], cwd=ROOT, check=False)


def _venv_need() -> Requirement:
    package = f"python3.{sys.version_info.minor}-venv"
    return Requirement("Python's venv and pip", _has_venv, ((package,), ("python3-venv",)))


def _has_venv() -> bool:
    return importlib.util.find_spec("ensurepip") is not None


def _make(environment: Path) -> None:
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    project = ["--constraint", str(ROOT / "constraints.txt"), "--editable", f"{ROOT}[{EXTRAS}]"]
    for command in ([sys.executable, "-m", "venv", "--clear", str(environment)], pip + project):
        done = subprocess.run(command, check=False)
        if done.returncode:
            raise RequirementsNotMet(f"{' '.join(command)} failed; see above")


if __name__ == "__main__":
    sys.exit(main())
