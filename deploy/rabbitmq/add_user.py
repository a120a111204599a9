"""Makes the broker user of a host, or of the gateway, with exactly the rights it needs.

    python -m deploy.rabbitmq.add_user host h1 --address amqps://broker.example:5671/fleet \\
        --uri-file h1.uri
    python -m deploy.rabbitmq.add_user gateway --address ... --uri-file gateway.uri

Prints the definitions, which hold no password but a salted hash of it, for `rabbitmqctl
import_definitions`: the user, and the limits of the virtual host's queues. The password is written
to the file, readable by its owner only, as the address that goes into `FLEET_AMQP_URI_FILE`.

A file that is there already keeps its password: this is how a user of an earlier release gets the
rights and limits of this one.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from deploy.local import definitions
from shared.contracts.errors import InvalidInput
from shared.platform.bus.topology import (
    CENTRAL_PERMISSIONS,
    Permissions,
    host_permissions,
    validate_host,
)


def main(arguments: list[str] | None = None) -> int:
    """Write the address, unless it is there; print the definitions."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if (asked.role == "host") != bool(asked.host):
        parser.error("a host needs its id, the gateway has none")
    name = asked.host or asked.role
    try:
        if asked.host:
            validate_host(asked.host)
        password = kept_password(asked.uri_file, name) or secrets.token_urlsafe(32)
    except (InvalidInput, ValueError) as exc:
        parser.error(str(exc))
    permissions = host_permissions(name, password) if asked.host else CENTRAL_PERMISSIONS
    if not asked.uri_file.exists():
        write_secret(asked.uri_file, address_of(asked.address, name, password))
    json.dump(_definitions(name, password, permissions, asked.address), sys.stdout, indent=2)
    return 0


def kept_password(file: Path, user: str) -> str:
    """Return the password in an address file, empty where there is no file.

    Raises ValueError where the file holds anything but this user's address.
    """
    if not file.exists():
        return ""
    parts = urlsplit(file.read_text().strip())
    if unquote(parts.username or "") != user or not parts.password:
        raise ValueError(f"{file} is there, and holds no address of the user {user!r}")
    return unquote(parts.password)


def address_of(broker: str, user: str, password: str) -> str:
    """Return the broker's address with a user and a password in it."""
    parts = urlsplit(broker)
    place = f"{quote(user)}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"
    return parts._replace(netloc=place).geturl()


def write_secret(file: Path, secret: str) -> None:
    """Write a file that only its owner can read; an existing one is never overwritten."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(f"{secret}\n")


def _definitions(
    name: str, password: str, permissions: Permissions, address: str
) -> definitions.Definitions:
    vhost = unquote(urlsplit(address).path[1:]) or "/"
    return definitions.of([definitions.User(name, password, permissions)], vhost=vhost)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.rabbitmq.add_user")
    parser.add_argument("role", choices=["host", "gateway"])
    parser.add_argument("host", nargs="?", help="the host's id (for the role host)")
    parser.add_argument("--address", required=True, help="amqp(s)://host:port/vhost, no user in it")
    kept = "the file for the address; one that is there keeps its password"
    parser.add_argument("--uri-file", required=True, type=Path, help=kept)
    return parser


if __name__ == "__main__":
    sys.exit(main())
