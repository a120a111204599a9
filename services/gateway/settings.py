"""The gateway's settings, read once from the environment.

They keep a fresh installation safe: without a token the gateway listens on loopback only, unless
networks were opened on purpose.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from services.gateway.fleet import memory_budget as budgets
from services.gateway.fleet.memory_budget import MemoryBudget
from services.gateway.vms import templates
from services.gateway.vms.templates import Template
from shared.contracts.bounds import MOST_INSTANCES
from shared.platform.settings import Bind, EnvReader

DAY_S = 24 * 3600.0
MOST_CONNECTIONS = 2000
MOST_CONNECTIONS_PER_ADDRESS = 256
MOST_WEBSOCKETS = 1000
SHORTEST_TOKEN = 32
# It cannot be taken for a host or a header, and has no `..`.
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*")
LONGEST_PREFIX = 255
# The first segments of the gateway's own paths.
OWN_SEGMENTS = frozenset(
    {
        "api",
        "console",
        "console-files",
        "docs",
        "healthz",
        "livez",
        "metrics",
        "openapi.json",
        "readyz",
        "static-offline-docs",
        "ws",
    }
)
SHIPPED_TEMPLATES = Path(__file__).with_name("templates.yaml")


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The settings of the HTTP and WebSocket server.

    `binds` are (address, port). Without `token` only loopback clients and those in `open_networks`
    (CIDR notation) are admitted; the forwarding headers of `trusted_proxies` (likewise) are
    believed. `root_path` is the path at which a proxy serves the gateway, without a trailing slash;
    empty: none. `sync_wait_s` bounds the wait for outcomes, `stop_timeout_s` a graceful stop;
    `update_interval_s` is that of the monitor. `client_timeout_s` is how long a client may take to
    send a request or to read a response. WebSockets count as connections too.
    """

    binds: tuple[Bind, ...]
    token: str | None
    allowed_origins: tuple[str, ...]
    open_networks: tuple[str, ...]
    trusted_proxies: tuple[str, ...] = ()
    root_path: str = ""
    sync_wait_s: float = 60.0
    stop_timeout_s: float = 20.0
    update_interval_s: float = 5.0
    client_timeout_s: float = 20.0
    max_connections: int = MOST_CONNECTIONS
    max_connections_per_address: int = MOST_CONNECTIONS_PER_ADDRESS
    max_websockets: int = MOST_WEBSOCKETS
    tls_cert: str = ""
    tls_key: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the gateway.

    `start_by_s` is how long after the request a worker may still start it, `call_timeout_s` the
    time-out of calls, `ready_after_s` how long lists wait for hosts after a start. `templates` are
    those of the operator's file. `budget` limits what is held of each host, `operations_per_host`
    its stored operations without a key.
    """

    amqp_uri: str
    database_url: str
    http: HttpSettings
    templates: tuple[Template, ...] = ()
    log_level: str = "info"
    start_by_s: float = 30.0
    call_timeout_s: float = 10.0
    ready_after_s: float = 3.0
    keep_keys_s: float = DAY_S
    keep_operations_s: float = 30 * DAY_S
    operations_per_host: int = 10_000
    budget: MemoryBudget = budgets.DEFAULT

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read `FLEET_*`; raise `SettingsError` that names everything wrong at once."""
        reader = EnvReader(env)
        state = reader.text("FLEET_STATE_DIR", "/var/lib/lxdfleet")
        settings = cls(
            amqp_uri=reader.amqp_uri(),
            database_url=reader.secret("FLEET_DATABASE_URL", f"sqlite:///{state}/gateway.db"),
            http=_http(reader, token_asked="FLEET_TOKEN_FILE" in env),
            templates=_templates(reader),
            log_level=reader.log_level(),
            keep_keys_s=reader.number("FLEET_KEEP_KEYS_S", DAY_S, least=60),
            keep_operations_s=reader.number("FLEET_KEEP_OPERATIONS_S", 30 * DAY_S, least=DAY_S),
            operations_per_host=int(
                reader.number("FLEET_MAX_OPERATIONS_PER_HOST", 10_000, least=100, most=1e6)
            ),
            budget=_budget(reader),
        )
        if not settings.database_url.startswith(("sqlite:///", "postgresql://")):
            reader.complain("FLEET_DATABASE_URL takes sqlite:///FILE or postgresql://...")
        if settings.keep_keys_s > settings.keep_operations_s:
            reader.complain("FLEET_KEEP_KEYS_S is longer than FLEET_KEEP_OPERATIONS_S")
        reader.check()
        return settings


def _budget(reader: EnvReader) -> MemoryBudget:
    instances, size = budgets.DEFAULT.instances, budgets.DEFAULT.size
    most = reader.number("FLEET_MAX_INSTANCES_PER_HOST", instances, least=1, most=MOST_INSTANCES)
    room = reader.number("FLEET_MAX_BYTES_PER_HOST", size, least=2**20, most=2**30)
    return MemoryBudget(int(most), int(room))


def _http(reader: EnvReader, *, token_asked: bool) -> HttpSettings:
    http = HttpSettings(
        binds=reader.binds("FLEET_HTTP_BIND") or (("127.0.0.1", 8000),),
        token=_token(reader),
        allowed_origins=reader.words("FLEET_ALLOWED_ORIGINS"),
        open_networks=_networks(reader, "FLEET_OPEN_NETWORKS"),
        trusted_proxies=_trusted_proxies(reader),
        root_path=_root_path(reader),
        sync_wait_s=reader.number("FLEET_SYNC_WAIT_S", 60, most=600),
        stop_timeout_s=reader.number("FLEET_STOP_TIMEOUT_S", 20, most=600),
        client_timeout_s=reader.number("FLEET_CLIENT_TIMEOUT_S", 20, least=1, most=600),
        max_connections=_count(reader, "FLEET_MAX_CONNECTIONS", MOST_CONNECTIONS),
        max_connections_per_address=_count(
            reader, "FLEET_MAX_CONNECTIONS_PER_ADDRESS", MOST_CONNECTIONS_PER_ADDRESS
        ),
        max_websockets=_count(reader, "FLEET_MAX_WEBSOCKETS", MOST_WEBSOCKETS),
        tls_cert=reader.text("FLEET_TLS_CERT", ""),
        tls_key=reader.text("FLEET_TLS_KEY", ""),
    )
    if bool(http.tls_cert) != bool(http.tls_key):
        reader.complain("FLEET_TLS_CERT and FLEET_TLS_KEY need each other")
    if token_asked and not http.token:
        reader.complain("FLEET_TOKEN_FILE holds no token")
    elif not http.token and not http.open_networks:
        _demand_loopback(http.binds, reader)
    return http


def _token(reader: EnvReader) -> str | None:
    token = reader.secret("FLEET_TOKEN", "")
    # Valid in a header, and long enough not to be guessed.
    fit = len(token) >= SHORTEST_TOKEN and token.isascii() and token.isprintable()
    if token and (not fit or " " in token):
        reader.complain(
            f"FLEET_TOKEN takes {SHORTEST_TOKEN} or more ASCII characters without spaces; "
            "`openssl rand -hex 32` makes one"
        )
    return token or None


def _count(reader: EnvReader, name: str, default: int) -> int:
    return int(reader.number(name, default, least=1, most=1_000_000))


def _templates(reader: EnvReader) -> tuple[Template, ...]:
    file = reader.text("FLEET_TEMPLATES_FILE", str(SHIPPED_TEMPLATES))

    def complain(problem: str) -> None:
        reader.complain(f"FLEET_TEMPLATES_FILE, {file}: {problem}")

    try:
        document = yaml.safe_load(Path(file).read_bytes())
    except OSError as exc:
        complain(f"it cannot be read: {exc.strerror}")
        return ()
    except yaml.YAMLError as exc:
        complain(f"it is no YAML: {' '.join(str(exc).split())}")
        return ()
    return templates.parse(document, complain)


def _demand_loopback(binds: tuple[Bind, ...], reader: EnvReader) -> None:
    for address, _ in binds:
        if not _is_loopback(address):
            reader.complain(
                f"FLEET_HTTP_BIND opens {address} to the network without a token; set "
                "FLEET_TOKEN_FILE, or name the networks that need none in FLEET_OPEN_NETWORKS"
            )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        # Any other name may resolve to anything.
        return address == "localhost"


def _networks(reader: EnvReader, name: str) -> tuple[str, ...]:
    words = reader.words(name)
    return tuple(word for word in words if _is_network(name, word, reader))


def _is_network(name: str, word: str, reader: EnvReader) -> bool:
    try:
        ipaddress.ip_network(word)
    except ValueError:
        reader.complain(f"{name} holds {word!r}; it takes networks like 10.0.0.0/8")
        return False
    return True


def _trusted_proxies(reader: EnvReader) -> tuple[str, ...]:
    networks = _networks(reader, "FLEET_TRUSTED_PROXIES")
    if any(ipaddress.ip_network(network).prefixlen == 0 for network in networks):
        reader.complain("FLEET_TRUSTED_PROXIES names everybody; it takes the proxies' own networks")
    return networks


def _root_path(reader: EnvReader) -> str:
    text = reader.text("FLEET_ROOT_PATH", "")
    prefix = path_prefix(text)
    if prefix is None:
        reader.complain(f"FLEET_ROOT_PATH is {text!r}; it takes a path like /lxd")
        return ""
    first = prefix.split("/")[1] if prefix else ""
    if first in OWN_SEGMENTS:
        reader.complain(f"FLEET_ROOT_PATH begins with /{first}, as paths of the gateway's own do")
    return prefix


def path_prefix(text: str) -> str | None:
    """Return a valid path prefix without a trailing slash; None: it is invalid."""
    path = text.removesuffix("/")
    return path if len(path) <= LONGEST_PREFIX and _PREFIX.fullmatch(path) else None
