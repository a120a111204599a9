"""Create the broker user of a host, the gateway or the snapshots service, with the rights it needs.

    python -m deploy.rabbitmq.add_user host h1 --address amqps://broker.example:5671/fleet \\
        --uri-file h1.uri
    python -m deploy.rabbitmq.add_user gateway --address ... --uri-file gateway.uri
    python -m deploy.rabbitmq.add_user snapshots --address ... --uri-file snapshots.uri

Prints definitions for `rabbitmqctl import_definitions`: the user, with a salted hash of its
password, and the limits of the virtual host's queues. The URI with the password is written to the
file for `FLEET_AMQP_URI_FILE`, readable by its owner only.

If the file exists, its password is kept: so a user of an earlier release gets the rights and limits
of this one.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from deploy.local import rabbitmq_definitions
from shared.contracts.errors import InvalidInput
from shared.platform.bus.permissions import (
    CENTRAL_PERMISSIONS,
    SNAPSHOTS_PERMISSIONS,
    Permissions,
    host_permissions,
)
from shared.platform.bus.topology import validate_host

# The central services' users, and their rights.
CENTRAL = {"gateway": CENTRAL_PERMISSIONS, "snapshots": SNAPSHOTS_PERMISSIONS}


def main(arguments: list[str] | None = None) -> int:
    """Write the URI file, unless it exists; print the definitions."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.role == "host") != bool(options.host):
        parser.error("the role host needs an id, the others take none")
    if options.host in CENTRAL:
        parser.error(f"{options.host} is the name of a central service's user")
    name = options.host or options.role
    try:
        if options.host:
            validate_host(options.host)
        password = stored_password(options.uri_file, name) or secrets.token_urlsafe(32)
    except (InvalidInput, ValueError) as exc:
        parser.error(str(exc))
    permissions = host_permissions(name, password) if options.host else CENTRAL[name]
    if not options.uri_file.exists():
        write_secret(options.uri_file, address_of(options.address, name, password))
    json.dump(_definitions(name, password, permissions, options.address), sys.stdout, indent=2)
    return 0


def stored_password(file: Path, user: str) -> str:
    """Return the password in a URI file, empty if there is no file.

    Raises ValueError if the file contains anything but this user's URI.
    """
    if not file.exists():
        return ""
    parts = urlsplit(file.read_text().strip())
    if unquote(parts.username or "") != user or not parts.password:
        raise ValueError(f"{file} exists, but does not contain a URI of the user {user!r}")
    return unquote(parts.password)


def address_of(broker: str, user: str, password: str) -> str:
    """Return a broker's URI with a user and a password."""
    parts = urlsplit(broker)
    netloc = f"{quote(user)}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"
    return parts._replace(netloc=netloc).geturl()


def write_secret(file: Path, secret: str) -> None:
    """Write a file that only its owner can read; never overwrite an existing one."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(f"{secret}\n")


def _definitions(
    name: str, password: str, permissions: Permissions, address: str
) -> rabbitmq_definitions.Definitions:
    vhost = unquote(urlsplit(address).path[1:]) or "/"
    return rabbitmq_definitions.of(
        [rabbitmq_definitions.User(name, password, permissions)], vhost=vhost
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.rabbitmq.add_user")
    parser.add_argument("role", choices=["host", *CENTRAL])
    parser.add_argument("host", nargs="?", help="the host's id (for the role host)")
    parser.add_argument(
        "--address", required=True, help="amqp(s)://host:port/vhost, without a user"
    )
    uri_file = "the file for the URI; an existing one keeps its password"
    parser.add_argument("--uri-file", required=True, type=Path, help=uri_file)
    return parser


if __name__ == "__main__":
    sys.exit(main())
