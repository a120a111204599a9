"""What the fleet needs from the distribution, and how it comes onto the machine.

Nothing is installed that was not announced first. Uses the standard library only, because it runs
before there is an environment.
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


class Missing(Exception):
    """The machine lacks something that may not be installed; the text says how to get it."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something the machine must have, and the packages that bring it.

    Of several `choices` the first is taken that the distribution has. `idle_service` comes with
    them and is of no use here: it is kept from starting, now and at boot.
    """

    what: str
    present: Callable[[], bool]
    choices: tuple[tuple[str, ...], ...]
    idle_service: str | None = None


def provide(needs: Sequence[Need], env: Mapping[str, str]) -> None:
    """Install what is missing, after saying so. Raises Missing where that is not allowed."""
    missing = [need for need in needs if not need.present()]
    if not missing:
        return
    if reason := _hindrance(env):
        raise Missing(explanation(missing, _chosen(missing), reason))
    _run("update", "-qq")
    chosen = _chosen(missing)
    print(announcement(missing, chosen), flush=True)
    with _services_not_started():
        _run("install", "-qq", "--yes", "--no-install-recommends", *chosen)
    for need in missing:
        if need.idle_service and processes.systemd_runs():
            subprocess.run(["systemctl", "disable", "--quiet", need.idle_service], check=False)


def announcement(missing: Sequence[Need], chosen: Sequence[str]) -> str:
    """Return what is said before an installation."""
    return f"{_lacking(missing)}\nInstalling with apt-get: {' '.join(chosen)}"


def explanation(missing: Sequence[Need], chosen: Sequence[str], reason: str) -> str:
    """Return what is said instead of an installation."""
    return (
        f"{_lacking(missing)}\nNot installed, because {reason}. To install it as root:\n"
        f"  apt-get update && apt-get install --no-install-recommends {' '.join(chosen)}"
    )


def _lacking(missing: Sequence[Need]) -> str:
    return "\n".join(["This machine lacks:", *(f"  * {need.what}" for need in missing)])


def _hindrance(env: Mapping[str, str]) -> str | None:
    if env.get("FLEET_INSTALL") == "no":
        return "FLEET_INSTALL=no"
    if shutil.which("apt-get") is None:
        return "there is no apt-get here"
    if os.geteuid() != 0:
        return "only root can; with sudo this command would"
    return None


def _chosen(missing: Sequence[Need]) -> list[str]:
    """Return the packages of each need's first choice that apt knows, else of its last."""
    choices = [next(filter(_known, need.choices), need.choices[-1]) for need in missing]
    return [package for packages in choices for package in packages]


def _known(packages: tuple[str, ...]) -> bool:
    if shutil.which("apt-cache") is None:
        return False
    # One at a time: asked for several, apt-cache is content when it knows one.
    return all(_shown(package) for package in packages)


def _shown(package: str) -> bool:
    shown = subprocess.run(["apt-cache", "show", package], check=False, capture_output=True)
    return shown.returncode == 0


def _run(*arguments: str) -> None:
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", *arguments],
        check=False,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise Missing(f"apt-get {' '.join(arguments)} failed:\n{done.stdout}")


@contextmanager
def _services_not_started() -> Iterator[None]:
    """Keep packages from starting their services: we need their programs, and start our own."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
