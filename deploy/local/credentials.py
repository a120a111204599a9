"""Generate the private broker's users, and the files with each service's broker URI.

A password is generated once, and stored in a file that only its owner can read. Services are given
the name of such a file, so that passwords are in no command line, environment or log.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from deploy.local.rabbitmq_definitions import User
from shared.platform import private_files
from shared.platform.bus.permissions import (
    CENTRAL_PERMISSIONS,
    SNAPSHOTS_PERMISSIONS,
    host_permissions,
)

CENTRAL = "central"
SNAPSHOTS = "snapshots"


def host_user(host: str) -> str:
    """Return the name of a host's broker user."""
    return f"host-{host}"


def users(directory: Path, hosts: Iterable[str]) -> list[User]:
    """Return the gateway's user, the snapshots service's, and one for each host.

    Raises InvalidInput if a host's id cannot be part of a routing key.
    """
    central = User(CENTRAL, password(directory / CENTRAL), CENTRAL_PERMISSIONS)
    snapshots = User(SNAPSHOTS, password(directory / SNAPSHOTS), SNAPSHOTS_PERMISSIONS)
    return [central, snapshots, *(_host(directory / host_user(host), host) for host in hosts)]


def password(file: Path) -> str:
    """Return the password in the file; generate it on the first call."""
    if not file.exists():
        private_files.write(file, secrets.token_urlsafe(24))
    return file.read_text()


def _host(file: Path, host: str) -> User:
    secret = password(file)
    return User(host_user(host), secret, host_permissions(host, secret))


def write_uris(directory: Path, uris: Mapping[str, str]) -> dict[str, Path]:
    """Write each URI to a file of its own; return the files."""
    files = {name: directory / f"{name}.amqp-uri" for name in uris}
    for name, uri in uris.items():
        private_files.write(files[name], uri)
    return files
