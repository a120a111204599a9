"""Who may log in to the private broker, and the files that tell each service its address.

A password is drawn once, lies in a file that only its owner can read, and reaches a service as the
name of such a file: it stands on no command line, in no environment and in no log.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from deploy.local.definitions import User
from shared.platform import private_files
from shared.platform.bus.topology import CENTRAL_PERMISSIONS, host_permissions

CENTRAL = "central"


def host_user(host: str) -> str:
    """Return the name of a host's broker user."""
    return f"host-{host}"


def users(directory: Path, hosts: Iterable[str]) -> list[User]:
    """Return the central services' user, and one for each host who may do what a host may.

    Raises InvalidInput where a host's id could not stand in a routing key.
    """
    central = User(CENTRAL, password(directory / CENTRAL), CENTRAL_PERMISSIONS)
    return [central, *(_host(directory / host_user(host), host) for host in hosts)]


def password(file: Path) -> str:
    """Return the password that the file keeps; the first call draws it."""
    if not file.exists():
        private_files.write(file, secrets.token_urlsafe(24))
    return file.read_text()


def _host(file: Path, host: str) -> User:
    drawn = password(file)
    return User(host_user(host), drawn, host_permissions(host, drawn))


def write_uris(directory: Path, uris: Mapping[str, str]) -> dict[str, Path]:
    """Write each address to a file of its own; return the files."""
    files = {name: directory / f"{name}.amqp-uri" for name in uris}
    for name, uri in uris.items():
        private_files.write(files[name], uri)
    return files
