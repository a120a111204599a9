"""Makes the project's virtual environment: `python3 -m deploy.local.bootstrap .venv`.

Runs on a Python that has nothing but its standard library. An environment that was made from the
same `pyproject.toml` and constraints is left as it is, which takes a twentieth of a second.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from deploy.local.install_packages import Missing, Need, provide

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT / "pyproject.toml", ROOT / "constraints.txt")
EXTRAS = "gateway,lxd-worker,metrics,postgresql,local,dev"
OLDEST = (3, 11)


def main() -> int:
    """Make the environment that the command line names; complain in one line where that fails."""
    try:
        ensure(Path(sys.argv[1]))
    except Missing as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


def ensure(environment: Path) -> None:
    """Make the environment, unless it is what it should be. Raises Missing."""
    if sys.version_info < OLDEST:
        raise Missing(f"Python 3.11 or newer is needed; {sys.executable} is {sys.version}")
    stamp = environment / "made-from"
    wanted = fingerprint([file.read_bytes() for file in SOURCES], sys.version, environment)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    provide([_venv_need()], os.environ)
    print(f"Installing the project and its Python packages into {environment}", flush=True)
    _make(environment)
    _run_in(environment, "deploy.local.console_page")
    stamp.write_text(wanted)


def fingerprint(sources: list[bytes], python: str, environment: Path) -> str:
    """Return what tells environments apart: their sources, their Python and their place."""
    digest = hashlib.sha256()
    for part in (*sources, python.encode(), str(environment.absolute()).encode()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _run_in(environment: Path, module: str) -> None:
    """Run a module of ours on the environment's Python; what it cannot do it says itself."""
    subprocess.run([str(environment / "bin" / "python"), "-m", module], cwd=ROOT, check=False)


def _venv_need() -> Need:
    package = f"python3.{sys.version_info.minor}-venv"
    return Need("Python's venv and pip", _has_venv, ((package,), ("python3-venv",)))


def _has_venv() -> bool:
    return importlib.util.find_spec("ensurepip") is not None


def _make(environment: Path) -> None:
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    project = ["--constraint", str(ROOT / "constraints.txt"), "--editable", f"{ROOT}[{EXTRAS}]"]
    for command in ([sys.executable, "-m", "venv", "--clear", str(environment)], pip + project):
        done = subprocess.run(command, check=False)
        if done.returncode:
            raise Missing(f"{' '.join(command)} failed; see above")


if __name__ == "__main__":
    sys.exit(main())
