"""Generate passwords of a fleet in containers: `python -m deploy.docker.draw_secrets DIRECTORY`.

The compose service `secrets` runs it before all others. Each container mounts one folder of the
directory; each file is owned by the user that reads it there. Existing passwords are kept.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local import credentials, rabbitmq_definitions
from deploy.local.rabbitmq_definitions import User
from deploy.rabbitmq.add_user import address_of
from shared.platform import private_files
from shared.platform.host_settings import host_id
from shared.platform.settings import EnvReader, SettingsError

VHOST = "fleet"

# Users that read secrets: in our image, and in the official ones of Prometheus and Grafana.
LXDFLEET, PROMETHEUS, GRAFANA = 10001, 65534, 472


@dataclass(frozen=True, slots=True)
class Secret:
    """A file in the directory, and the id of the user that reads it in a container."""

    file: str
    text: str
    reader: int


def main() -> int:
    """Write the files; print a line for each invalid variable."""
    directory = Path(sys.argv[1])
    try:
        host, port = _settings(os.environ)
    except SettingsError as exc:
        print(exc, file=sys.stderr)
        return 2
    # The directory hides from this machine's users what its folders show to containers.
    directory.chmod(0o700)
    users = credentials.users(directory / "passwords", [host])
    write_definitions(directory / "broker" / "rabbitmq_definitions.json", users)
    for secret in secrets_of(directory / "passwords", users, port):
        _write_secret(directory, secret)
    return 0


def write_definitions(file: Path, users: list[User]) -> None:
    """Write the file that RabbitMQ loads; without passwords, so every user may read it."""
    private_files.write(file, json.dumps(rabbitmq_definitions.of(users, vhost=VHOST)))
    file.chmod(0o644)


def secrets_of(passwords: Path, users: list[User], broker_port: int) -> list[Secret]:
    """Return every secret with its reader.

    The central services share a network with the broker; a host's services use the host's network,
    and reach the broker at its published port.
    """
    central, snapshots, host = users
    token = credentials.password(passwords / "token")
    return [
        Secret("gateway/amqp-uri", _uri("broker:5672", central), LXDFLEET),
        Secret("gateway/token", token, LXDFLEET),
        Secret("snapshots/amqp-uri", _uri("broker:5672", snapshots), LXDFLEET),
        Secret("host/amqp-uri", _uri(f"127.0.0.1:{broker_port}", host), LXDFLEET),
        Secret("prometheus/token", token, PROMETHEUS),
        Secret("grafana/admin-password", credentials.password(passwords / "grafana"), GRAFANA),
    ]


def _settings(env: Mapping[str, str]) -> tuple[str, int]:
    reader = EnvReader(env)
    host = host_id(reader)
    port = reader.number("FLEET_BROKER_PORT", 5672, least=1, most=65535)
    reader.check()
    return host, int(port)


def _uri(address: str, user: User) -> str:
    return address_of(f"amqp://{address}/{VHOST}", user.name, user.password)


def _write_secret(directory: Path, secret: Secret) -> None:
    file = directory / secret.file
    private_files.write(file, secret.text)
    os.chown(file, secret.reader, -1)


if __name__ == "__main__":
    sys.exit(main())
