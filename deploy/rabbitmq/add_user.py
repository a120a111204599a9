"""Makes the broker user of a host, or of the gateway, with exactly the rights it needs.

    python -m deploy.rabbitmq.add_user host h1 --address amqps://broker.example:5671/fleet
    --uri-file h1.uri python -m deploy.rabbitmq.add_user gateway --address ... --uri-file
    gateway.uri

Prints the definitions, which hold no password but a salted hash of it, for `rabbitmqctl
import_definitions`. The password is written to the file, readable by its owner only, as the address
that goes into `FLEET_AMQP_URI_FILE`.
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
from shared.platform.topology import CENTRAL_PERMISSIONS, Permissions, host_permissions


def main(arguments: list[str] | None = None) -> int:
    """Write the address, print the definitions."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if (asked.role == "host") != bool(asked.host):
        parser.error("a host needs its id, the gateway has none")
    try:
        permissions = host_permissions(asked.host) if asked.host else CENTRAL_PERMISSIONS
    except InvalidInput as exc:
        parser.error(str(exc))
    name = asked.host or asked.role
    password = secrets.token_urlsafe(32)
    write_secret(asked.uri_file, address_of(asked.address, name, password))
    json.dump(_definitions(name, password, permissions, asked.address), sys.stdout, indent=2)
    return 0


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
    parser.add_argument("--uri-file", required=True, type=Path, help="a new file for the address")
    return parser


if __name__ == "__main__":
    sys.exit(main())
