"""The pool of host ports that are forwarded to instances, and the proxy devices for them.

A port is taken while an instance of LXD's holds it, or an operation under way was promised it.
Nothing else is remembered: a port is free again once its instance is gone, whoever deleted it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from services.lxd_worker.instances.devices import Devices
from shared.contracts.errors import InsufficientResources, InvalidInput, PortInUse
from shared.contracts.forwards import INSIDE, SSH, SSH_DEVICE
from shared.contracts.instance_config import Forward
from shared.contracts.instances import Proxy

# First and last port.
Span = tuple[int, int]
# Protocol (`tcp`, `udp`) and port.
HostPorts = frozenset[tuple[str, int]]

_PROTOCOLS = ("tcp", "udp")
_SPAN = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_LAST_PORT = 65535
# The kernel's tables of sockets, each with its protocol.
_TABLES = {"tcp": "tcp", "tcp6": "tcp", "udp": "udp", "udp6": "udp"}
# `   0: 0100007F:0016 ...`: a number, then an address and a port.
_LOCAL = re.compile(rb"\s*\d+:\s+[0-9A-F]+:([0-9A-F]{4})\s")


@dataclass(frozen=True, slots=True)
class NatPool:
    """The ports that a host may give out, for SSH and for all else; without an address: none."""

    host: str = ""
    address: str = ""
    ssh: tuple[Span, ...] = ()
    ports: tuple[Span, ...] = ()

    @property
    def spans(self) -> tuple[Span, ...]:
        """All ports of the pool."""
        return (*self.ssh, *self.ports)


@dataclass(frozen=True, slots=True)
class _Request:
    """A forward to assign; `listen` 0: any free port, `connect` 0: the same port as `listen`."""

    protocol: str
    listen: int
    connect: int
    count: int

    @property
    def device(self) -> str:
        for_ssh = (self.protocol, self.connect, self.count) == ("tcp", SSH, 1)
        return SSH_DEVICE if for_ssh else ""


def assign_ports(pool: NatPool, *, ssh: bool, ports: int, taken: HostPorts) -> Devices:
    """Return the proxy devices of a new instance, with ports that are free.

    Raises InsufficientResources if the pool has too few ports left, InvalidInput if the host has no
    pool.
    """
    requests = [_Request("tcp", 0, SSH, 1)] if ssh else []
    if ports:
        requests.append(_Request("tcp", 0, 0, ports))
    return _devices(pool, requests, taken, own=frozenset())


def assign_forwards(
    pool: NatPool, forwards: Sequence[Forward], *, taken: HostPorts, own: HostPorts
) -> Devices:
    """Return the proxy devices for forwards that an instance is to get.

    `own` are the ports that the instance gives up for them, and may get back even if they are not
    in the pool. Any other port that is asked for must be in the pool and free, else raises
    InvalidInput or PortInUse; InsufficientResources as `assign_ports`.
    """
    requests = [_Request(one.protocol, one.listen, one.connect, one.count) for one in forwards]
    for request in requests:
        _check(request)
    return _devices(pool, requests, taken - own, own)


def ports_of(proxies: Iterable[Proxy]) -> HostPorts:
    """Return the host's ports on which proxies listen while their instance runs."""
    return frozenset(
        port for proxy in proxies if proxy.on_host for port in _listening(proxy.listen)
    )


def ports_in_use(net: Path = Path("/proc/net")) -> HostPorts:
    """Return the ports that nobody can listen on now, those of outgoing connections among them.

    The worker has to run in the host's network for this. A host without IPv6 lacks some tables.
    """
    return frozenset(
        (protocol, port)
        for name, protocol in _TABLES.items()
        if (net / name).exists()
        for port in _local_ports(net / name)
    )


def _local_ports(table: Path) -> Iterator[int]:
    # Line by line: there is one for each connection of the host.
    with table.open("rb") as lines:
        for line in lines:
            if local := _LOCAL.match(line):
                yield int(local[1], 16)


def _listening(endpoint: str) -> Iterator[tuple[str, int]]:
    """Yield the ports of an endpoint as `tcp:0.0.0.0:30000-30025,40000`; a unix socket has none."""
    protocol, _, rest = endpoint.partition(":")
    if protocol not in _PROTOCOLS:
        return
    for part in rest.rpartition(":")[2].split(","):
        if span := _SPAN.fullmatch(part):
            first, last = int(span[1]), min(int(span[2] or span[1]), _LAST_PORT)
            yield from ((protocol, port) for port in range(first, last + 1))


def _check(request: _Request) -> None:
    if request.protocol not in _PROTOCOLS:
        raise InvalidInput("protocol", "tcp or udp")
    if max(request.listen, request.connect) + request.count - 1 > _LAST_PORT:
        raise InvalidInput("count", "ports end at 65535")


def _devices(
    pool: NatPool, requests: Sequence[_Request], taken: HostPorts, own: HostPorts
) -> Devices:
    if requests and not pool.address:
        raise InvalidInput("ports", "this host has no pool of ports")
    devices: Devices = {}
    # Requests for a number come first, so that it is not chosen for another forward.
    for request in sorted(requests, key=lambda request: request.listen == 0):
        listen = (
            _allowed(pool, request, taken, own) if request.listen else _chosen(pool, request, taken)
        )
        name = (
            request.device if request.device and SSH_DEVICE not in devices else _next_name(devices)
        )
        devices[name] = _proxy(pool.address, request, listen)
        taken |= _ports(request, listen)
        own -= _ports(request, listen)
    return devices


def _allowed(pool: NatPool, request: _Request, taken: HostPorts, own: HostPorts) -> int:
    for protocol, port in sorted(_ports(request, request.listen) - own):
        if not any(first <= port <= last for first, last in pool.spans):
            raise InvalidInput("listen", f"a port of {_text(pool.spans)}")
        if (protocol, port) in taken:
            raise PortInUse(pool.host, str(port))
    return request.listen


def _chosen(pool: NatPool, request: _Request, taken: HostPorts) -> int:
    """Return the first of enough consecutive free ports."""
    in_use = {port for protocol, port in taken if protocol == request.protocol}
    longest = 0
    for first, last in pool.ssh if request.device else pool.ports:
        free = 0
        for port in range(first, last + 1):
            free = 0 if port in in_use else free + 1
            longest = max(longest, free)
            if free == request.count:
                return port - request.count + 1
    raise InsufficientResources(pool.host, "ports", str(request.count), str(longest))


def _ports(request: _Request, listen: int) -> HostPorts:
    return frozenset((request.protocol, port) for port in range(listen, listen + request.count))


def _next_name(devices: Devices) -> str:
    return f"forward-{sum(name != SSH_DEVICE for name in devices)}"


def _proxy(address: str, request: _Request, listen: int) -> dict[str, str]:
    to = request.connect or listen
    return {
        "type": "proxy",
        "listen": f"{request.protocol}:{_bracketed(address)}:{_span(listen, request.count)}",
        "connect": f"{request.protocol}:{INSIDE}:{_span(to, request.count)}",
    }


def _bracketed(address: str) -> str:
    return f"[{address}]" if ip_address(address).version == 6 else address


def _span(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}" if count > 1 else str(first)


def _text(spans: Iterable[Span]) -> str:
    return ", ".join(_span(first, last - first + 1) for first, last in spans)
