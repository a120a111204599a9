"""Install what the fleet needs from the distribution, after announcing it.

Uses the standard library only, because it runs before there is a virtual environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local import processes

POLICY = Path("/usr/sbin/policy-rc.d")


class RequirementsNotMet(Exception):
    """A requirement is missing and cannot be installed; the text says how to install it."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something that the machine must have, and the packages that provide it.

    The first of the `choices` that the distribution has is installed. `idle_service` comes with it
    but is not needed, so it is never started, not even at boot.
    """

    what: str
    present: Callable[[], bool]
    choices: tuple[tuple[str, ...], ...]
    idle_service: str | None = None


def install_missing(requirements: Sequence[Requirement], env: Mapping[str, str]) -> None:
    """Announce and install what is missing. Raises RequirementsNotMet if that is not allowed."""
    missing = [requirement for requirement in requirements if not requirement.present()]
    if not missing:
        return
    if reason := _obstacle(env):
        raise RequirementsNotMet(explanation(missing, _choose(missing), reason))
    _run("update", "-qq")
    packages = _choose(missing)
    print(announcement(missing, packages), flush=True)
    with _services_not_started():
        _run("install", "-qq", "--yes", "--no-install-recommends", *packages)
    for each in missing:
        if each.idle_service and processes.systemd_runs():
            subprocess.run(["systemctl", "disable", "--quiet", each.idle_service], check=False)


def announcement(missing: Sequence[Requirement], packages: Sequence[str]) -> str:
    """Return the text before an installation."""
    return f"{_missing_text(missing)}\nInstalling with apt-get: {' '.join(packages)}"


def explanation(missing: Sequence[Requirement], packages: Sequence[str], reason: str) -> str:
    """Return the text instead of an installation."""
    return (
        f"{_missing_text(missing)}\nNot installed, because {reason}. To install it as root:\n"
        f"  apt-get update && apt-get install --no-install-recommends {' '.join(packages)}"
    )


def _missing_text(missing: Sequence[Requirement]) -> str:
    return "\n".join(["This machine lacks:", *(f"  * {each.what}" for each in missing)])


def _obstacle(env: Mapping[str, str]) -> str | None:
    if env.get("FLEET_INSTALL") == "no":
        return "FLEET_INSTALL=no"
    if shutil.which("apt-get") is None:
        return "there is no apt-get"
    if os.geteuid() != 0:
        return "that needs root; use sudo"
    return None


def _choose(missing: Sequence[Requirement]) -> list[str]:
    """Return the packages of each requirement's first choice that apt has, else of its last."""
    choices = [next(filter(_has_all, each.choices), each.choices[-1]) for each in missing]
    return [package for packages in choices for package in packages]


def _has_all(packages: tuple[str, ...]) -> bool:
    if shutil.which("apt-cache") is None:
        return False
    # One at a time: for several, apt-cache succeeds if it has any of them.
    return all(_has(package) for package in packages)


def _has(package: str) -> bool:
    result = subprocess.run(["apt-cache", "show", package], check=False, capture_output=True)
    return result.returncode == 0


def _run(*arguments: str) -> None:
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(
        ["apt-get", *arguments],
        check=False,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode:
        raise RequirementsNotMet(f"apt-get {' '.join(arguments)} failed:\n{result.stdout}")


@contextmanager
def _services_not_started() -> Iterator[None]:
    """Keep packages from starting their services, as we start our own."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
