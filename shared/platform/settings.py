"""Read `FLEET_*` variables once, at the start of a process.

Every complaint names the variable and what is valid.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")

# An address to listen on (IPv6 without brackets) and its port.
Bind = tuple[str, int]


class SettingsError(Exception):
    """The environment is incomplete or invalid; the text has a line for each problem."""


def settings_or_exit(read: Callable[[Mapping[str, str]], T]) -> T:
    """Read settings from the environment; if they are invalid, print each problem and exit."""
    try:
        return read(os.environ)
    except SettingsError as exc:
        sys.stderr.write(f"{exc}\n")
        sys.exit(2)


def state_dir_or_exit(folder: Path) -> Path:
    """Return the folder, created if missing; if it is unusable, print why and exit."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK | os.X_OK)
        reason = "" if usable else "permission to write is missing"
    except OSError as exc:
        reason = exc.strerror or str(exc)
    if reason:
        sys.stderr.write(f"FLEET_STATE_DIR cannot be used: {reason}: {folder}\n")
        sys.exit(1)
    return folder


class EnvReader:
    """Collects values and complaints; `check` raises all complaints at once."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """Return a variable; without a default it is required. Empty counts as not set."""
        value = self._env.get(name) or default
        if value is None:
            self._problems.append(f"{name} is not set")
            return ""
        return value

    def secret(self, name: str, default: str | None = None) -> str:
        """Return NAME, or the stripped content of the file that NAME_FILE names."""
        file = self._env.get(f"{name}_FILE")
        if not file:
            return self.text(name, default)
        try:
            return Path(file).read_text().strip()
        except OSError as exc:
            self._problems.append(f"{name}_FILE cannot be read: {exc.strerror}: {file}")
        except UnicodeDecodeError:
            self._problems.append(f"{name}_FILE is not a text file: {file}")
        return ""

    def number(self, name: str, default: float, *, least: float = 0.0, most: float = 1e9) -> float:
        """Return a number from `least` to `most`."""
        raw = self._env.get(name)
        if not raw:
            return default
        try:
            value = float(raw)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            self._problems.append(
                f"{name} is {raw!r}; it takes a number from {least:g} to {most:g}"
            )
            return default
        return value

    def log_level(self) -> str:
        """Return `FLEET_LOG_LEVEL`, the lowest level to log."""
        level = self.text("FLEET_LOG_LEVEL", "info").lower()
        if level not in LOG_LEVELS:
            self._problems.append(f"FLEET_LOG_LEVEL is {level!r}; it takes {', '.join(LOG_LEVELS)}")
        return level

    def amqp_uri(self) -> str:
        """Return the broker's URI, from `FLEET_AMQP_URI` or its `_FILE`."""
        uri = self.secret("FLEET_AMQP_URI")
        if uri and not _is_amqp(uri):
            # Without the URI itself, which contains a password.
            self._problems.append("FLEET_AMQP_URI takes amqp://USER:PASSWORD@HOST:PORT/VHOST")
        return uri

    def words(self, name: str) -> tuple[str, ...]:
        """Return a comma-separated list."""
        return tuple(word.strip() for word in self._env.get(name, "").split(",") if word.strip())

    def command(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return a command line, split as by a shell; nothing is expanded."""
        try:
            return tuple(shlex.split(self._env.get(name, ""))) or default
        except ValueError as exc:
            self.complain(f"{name} cannot be read as a command: {exc}")
            return default

    def binds(self, name: str) -> tuple[Bind, ...]:
        """Return the addresses to listen on, from a comma-separated list of `ADDRESS:PORT`."""
        return tuple(bind for word in self.words(name) if (bind := self._bind(name, word)))

    def bind(self, name: str) -> Bind | None:
        """Return the address to listen on; None if not set."""
        word = self.text(name, "")
        return self._bind(name, word) if word else None

    def _bind(self, name: str, word: str) -> Bind | None:
        address, _, port = word.rpartition(":")
        if not address or not port.isdecimal() or not 0 < int(port) < 65536:
            self.complain(f"{name} contains {word!r}; it takes ADDRESS:PORT")
            return None
        return address.strip("[]"), int(port)

    def complain(self, problem: str) -> None:
        """Add the caller's own complaint."""
        self._problems.append(problem)

    def check(self) -> None:
        """Raise `SettingsError` if there were any problems."""
        if self._problems:
            raise SettingsError("\n".join(self._problems))


def _is_amqp(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return parts.scheme in ("amqp", "amqps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False  # the port is not a number
