"""The worker's settings, read from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from services.lxd_worker.creation.capacity import Overcommit
from services.lxd_worker.creation.port_pool import NatPool, Span
from services.lxd_worker.creation.request import Remotes
from shared.contracts.hosts import MOST_SERVERS
from shared.lxd.scope import ALL, lxd_projects
from shared.platform.bus.topology import MOST_STREAMS
from shared.platform.host_settings import host_id, lxd_socket
from shared.platform.settings import Bind, EnvReader

# bash where the instance has one.
LOGIN_SHELL = ("/bin/sh", "-c", 'exec "$(command -v bash || echo sh)" -l')


@dataclass(frozen=True, slots=True)
class Settings:
    """The worker's settings.

    `state_dir` holds the journal and belongs to one host id. `journal_days` must outlast the
    gateways' idempotency keys. At most `most_unfinished` operations may be unfinished; further ones
    are refused. `metrics_bind` is where Prometheus scrapes, None: nowhere. `lxd_projects` are the
    LXD projects whose instances belong to the fleet, `*`: all. At most `most_consoles` may be open;
    `console_command` is the shell in them.

    `overcommit` are the factors by which the host may commit more than it has, `remotes` the image
    servers from which it may fetch images, `nat_pool` the ports that it gives out.
    """

    amqp_uri: str
    host: str
    lxd_socket: str
    state_dir: Path
    log_level: str
    heartbeat_s: float
    inventory_s: float
    journal_days: float
    most_unfinished: int
    metrics_bind: Bind | None = None
    lxd_projects: tuple[str, ...] = (ALL,)
    overcommit: Overcommit = field(default_factory=Overcommit)
    remotes: Remotes = field(default_factory=dict)
    nat_pool: NatPool = field(default_factory=NatPool)
    most_consoles: int = 32
    console_command: tuple[str, ...] = LOGIN_SHELL

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read the environment; raise SettingsError that names everything wrong at once."""
        read = EnvReader(env)
        host = host_id(read)
        settings = cls(
            amqp_uri=read.amqp_uri(),
            host=host,
            lxd_socket=lxd_socket(read, env),
            state_dir=Path(read.text("FLEET_STATE_DIR", "/var/lib/lxdfleet/worker")),
            log_level=read.log_level(),
            heartbeat_s=read.number("FLEET_HEARTBEAT_S", 2.0, least=0.1, most=60.0),
            inventory_s=read.number("FLEET_INVENTORY_S", 60.0, least=1.0),
            journal_days=read.number("FLEET_JOURNAL_DAYS", 7.0, least=1.0),
            most_unfinished=int(read.number("FLEET_MAX_OPERATIONS", 100, least=1, most=10_000)),
            metrics_bind=read.bind("FLEET_METRICS_BIND"),
            lxd_projects=lxd_projects(read),
            overcommit=_overcommit(read),
            remotes=_remotes(read),
            nat_pool=_nat_pool(read, host),
            most_consoles=int(read.number("FLEET_MAX_CONSOLES", 32, most=MOST_STREAMS)),
            console_command=read.command("FLEET_CONSOLE_COMMAND", LOGIN_SHELL),
        )
        read.check()
        return settings


def _overcommit(read: EnvReader) -> Overcommit:
    return Overcommit(
        cpu=read.number("FLEET_OVERCOMMIT_CPU", 4.0, least=0.1, most=1000.0),
        memory=read.number("FLEET_OVERCOMMIT_MEMORY", 1.0, least=0.1, most=1000.0),
        disk=read.number("FLEET_OVERCOMMIT_DISK", 1.0, least=0.1, most=1000.0),
    )


def _remotes(read: EnvReader) -> dict[str, str]:
    remotes = {}
    for word in read.words("FLEET_IMAGE_REMOTES"):
        name, _, address = word.partition("=")
        if not name or ":" in name or not _is_server(address):
            read.complain(f"FLEET_IMAGE_REMOTES holds {word!r}; it takes NAME=https://ADDRESS")
        remotes[name] = address
    if len(remotes) > MOST_SERVERS:
        read.complain(f"FLEET_IMAGE_REMOTES holds {len(remotes)} servers; it takes {MOST_SERVERS}")
    return remotes


def _is_server(address: str) -> bool:
    """Whether an address is https; http is for a server on the host itself."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    host = parts.hostname or ""
    unprotected = parts.scheme == "http" and _is_address(host) and ip_address(host).is_loopback
    return bool(host) and (parts.scheme == "https" or unprotected)


def _nat_pool(read: EnvReader, host: str) -> NatPool:
    address = read.text("FLEET_NAT_ADDRESS", "")
    if address and not (_is_address(address) and not ip_address(address).is_unspecified):
        read.complain(f"FLEET_NAT_ADDRESS is {address!r}; it takes an IP address of the host")
    return NatPool(
        host=host,
        address=address,
        ssh=_spans(read, "FLEET_NAT_SSH_PORTS"),
        ports=_spans(read, "FLEET_NAT_PORTS"),
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _spans(read: EnvReader, name: str) -> tuple[Span, ...]:
    spans = []
    for word in read.words(name):
        first, _, last = word.partition("-")
        span = (_port(first), _port(last or first))
        if not 0 < span[0] <= span[1]:
            read.complain(f"{name} holds {word!r}; it takes ports from 1 to 65535: 20000-20999")
        spans.append(span)
    return tuple(spans)


def _port(text: str) -> int:
    """Return the number of a port, 0 if the text is none."""
    return int(text) if text.isdecimal() and int(text) <= 65535 else 0
