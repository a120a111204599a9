"""Ports of the host that lead to instances: which are given out, and what LXD is told of them.

What is given out is what LXD's instances hold, and what was promised to creations under way.
Nothing else is remembered, so a port is free again when its instance is gone, whoever deleted it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from services.lxd_worker.journal.plan import Devices
from shared.contracts.changes import Forward
from shared.contracts.errors import InsufficientResources, InvalidInput, PortInUse
from shared.contracts.forwards import INSIDE, SSH, SSH_DEVICE
from shared.contracts.instances import Proxy

# First and last port.
Span = tuple[int, int]
# Protocol (`tcp`, `udp`) and port.
Ports = frozenset[tuple[str, int]]

_PROTOCOLS = ("tcp", "udp")
_SPAN = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class NatPool:
    """What a host may give out: ports for SSH and ports for all else; no address: nothing."""

    host: str = ""
    address: str = ""
    ssh: tuple[Span, ...] = ()
    ports: tuple[Span, ...] = ()

    @property
    def spans(self) -> tuple[Span, ...]:
        """All of its ports."""
        return (*self.ssh, *self.ports)


@dataclass(frozen=True, slots=True)
class _Wish:
    """A forward to give out; a `listen` of 0 is chosen, a `connect` of 0 is the same as that."""

    protocol: str
    listen: int
    connect: int
    count: int

    @property
    def device(self) -> str:
        for_ssh = (self.protocol, self.connect, self.count) == ("tcp", SSH, 1)
        return SSH_DEVICE if for_ssh else ""


def given(pool: NatPool, *, ssh: bool, ports: int, taken: Ports) -> Devices:
    """Return the proxy devices of a new instance, with ports that nobody holds.

    Raises InsufficientResources when the pool has no such ports left, InvalidInput when the host
    has no pool.
    """
    wishes = [_Wish("tcp", 0, SSH, 1)] if ssh else []
    if ports:
        wishes.append(_Wish("tcp", 0, 0, ports))
    return _devices(pool, wishes, taken, own=frozenset())


def forwarded(pool: NatPool, forwards: Sequence[Forward], *, taken: Ports, own: Ports) -> Devices:
    """Return the proxy devices for forwards that an instance shall have and has not.

    `own` are the ports that the instance gives up for them: it may have them again, also those that
    are none of the pool's. Any other port that is asked for must be the pool's and free: else
    raises InvalidInput or PortInUse; InsufficientResources as `given`.
    """
    wishes = [_Wish(one.protocol, one.listen, one.connect, one.count) for one in forwards]
    for wish in wishes:
        _check(wish)
    return _devices(pool, wishes, taken - own, own)


def held(proxies: Iterable[Proxy]) -> Ports:
    """Return the ports of the host on which proxies listen, or shall when their instance runs."""
    return frozenset(
        port for proxy in proxies if proxy.on_host for port in _listening(proxy.listen)
    )


def _listening(endpoint: str) -> Iterator[tuple[str, int]]:
    """Yield the ports of LXD's `tcp:0.0.0.0:30000-30025,40000`; a unix socket has none."""
    protocol, _, rest = endpoint.partition(":")
    if protocol not in _PROTOCOLS:
        return
    for part in rest.rpartition(":")[2].split(","):
        if span := _SPAN.fullmatch(part):
            first, last = int(span[1]), min(int(span[2] or span[1]), _LAST_PORT)
            yield from ((protocol, port) for port in range(first, last + 1))


def _check(wish: _Wish) -> None:
    if wish.protocol not in _PROTOCOLS:
        raise InvalidInput("protocol", "tcp or udp")
    if max(wish.listen, wish.connect) + wish.count - 1 > _LAST_PORT:
        raise InvalidInput("count", "ports end at 65535")


def _devices(pool: NatPool, wishes: Sequence[_Wish], taken: Ports, own: Ports) -> Devices:
    if wishes and not pool.address:
        raise InvalidInput("ports", "this host has no pool of ports")
    devices: Devices = {}
    # Chosen ports must not be those that are asked for by number further down.
    for wish in sorted(wishes, key=lambda wish: wish.listen == 0):
        listen = _allowed(pool, wish, taken, own) if wish.listen else _chosen(pool, wish, taken)
        name = wish.device if wish.device and SSH_DEVICE not in devices else _next_name(devices)
        devices[name] = _proxy(pool.address, wish, listen)
        taken |= _ports(wish, listen)
        own -= _ports(wish, listen)
    return devices


def _allowed(pool: NatPool, wish: _Wish, taken: Ports, own: Ports) -> int:
    for protocol, port in sorted(_ports(wish, wish.listen) - own):
        if not any(first <= port <= last for first, last in pool.spans):
            raise InvalidInput("listen", f"a port of {_text(pool.spans)}")
        if (protocol, port) in taken:
            raise PortInUse(pool.host, str(port))
    return wish.listen


def _chosen(pool: NatPool, wish: _Wish, taken: Ports) -> int:
    """Return the first of enough free ports in a row."""
    in_use = {port for protocol, port in taken if protocol == wish.protocol}
    longest = 0
    for first, last in pool.ssh if wish.device else pool.ports:
        free = 0
        for port in range(first, last + 1):
            free = 0 if port in in_use else free + 1
            longest = max(longest, free)
            if free == wish.count:
                return port - wish.count + 1
    raise InsufficientResources(pool.host, "ports", str(wish.count), str(longest))


def _ports(wish: _Wish, listen: int) -> Ports:
    return frozenset((wish.protocol, port) for port in range(listen, listen + wish.count))


def _next_name(devices: Devices) -> str:
    return f"forward-{sum(name != SSH_DEVICE for name in devices)}"


def _proxy(address: str, wish: _Wish, listen: int) -> dict[str, str]:
    to = wish.connect or listen
    return {
        "type": "proxy",
        "listen": f"{wish.protocol}:{_bracketed(address)}:{_span(listen, wish.count)}",
        "connect": f"{wish.protocol}:{INSIDE}:{_span(to, wish.count)}",
    }


def _bracketed(address: str) -> str:
    return f"[{address}]" if ip_address(address).version == 6 else address


def _span(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}" if count > 1 else str(first)


def _text(spans: Iterable[Span]) -> str:
    return ", ".join(_span(first, last - first + 1) for first, last in spans)
