"""Where a caller is whose request comes through a reverse proxy.

`X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Prefix` are believed only on connections
from a trusted proxy, for anybody can send them. `Forwarded` and all other such headers are never
believed. That one was sent at all is noted: such a request comes from elsewhere, although its peer
may be on this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.http.prefix import PREFIX
from services.gateway.settings import path_prefix

Address = IPv4Address | IPv6Address

# Under this name a scope's state tells that the request came through a proxy, trusted or not.
PROXIED = "proxied"
# No chain of proxies is longer. A header has room for thousands of addresses.
MOST_HOPS = 16
SCHEMES = frozenset({"http", "https", "ws", "wss"})
# Some proxies send only one of those that tell the scheme, the host or the port.
_SENT_BY_PROXIES = (b"forwarded", b"via", b"x-forwarded-", b"x-real-ip")


class ForwardedHeadersMiddleware:
    """ASGI middleware: sets `client` and `scheme` to what a trusted proxy says of its client.

    The path under which the proxy has put us is left in the scope's state.
    """

    def __init__(self, app: ASGIApp, trusted_proxies: Sequence[str]) -> None:
        self._app = app
        self._trusted = [ip_network(network) for network in trusted_proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request; a client that a trusted proxy does not name is None."""
        if scope["type"] != "lifespan":
            self._apply(scope)
        await self._app(scope, receive, send)

    def _apply(self, scope: Scope) -> None:
        client = scope.get("client") if self._trusted else None
        trusted = client is not None and self._trusts(parse_address(client[0]))
        if trusted or any(name.startswith(_SENT_BY_PROXIES) for name, _ in scope["headers"]):
            scope.setdefault("state", {})[PROXIED] = True
        if trusted:
            headers = Headers(scope=scope)
            address = self._client(headers.getlist("x-forwarded-for"))
            scope["client"] = None if address is None else (str(address), 0)
            scope["scheme"] = _scheme(scope, headers.getlist("x-forwarded-proto"))
            prefix = _prefix(headers.getlist("x-forwarded-prefix"))
            if prefix is not None:
                scope["state"][PREFIX] = prefix

    def _client(self, values: Sequence[str]) -> Address | None:
        """Return the last address that is no trusted proxy's, for each proxy appends its client.

        None where that is no address: what stands before it may be anybody's.
        """
        hops = ",".join(values).split(",")
        address = None
        for hop in reversed(hops[-MOST_HOPS:]):
            address = _parse_hop(hop.strip())
            if not self._trusts(address):
                return address
        return address if len(hops) <= MOST_HOPS else None

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def parse_address(text: str) -> Address | None:
    """Return an IP address, an IPv4 one that is mapped into IPv6 as itself; None: it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _parse_hop(hop: str) -> Address | None:
    """Return the address of `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    # A zone may be any text, and is of no use away from the proxy.
    return None if "%" in hop else parse_address(hop)


def _scheme(scope: Scope, values: Sequence[str]) -> str:
    scheme: str = scope["scheme"]
    if len(values) != 1 or values[0] not in SCHEMES:
        return scheme
    secure = values[0] in {"https", "wss"}
    name = "ws" if scope["type"] == "websocket" else "http"
    return name + "s" * secure


def _prefix(values: Sequence[str]) -> str | None:
    """Return the prefix that is told; None: none is, or what is told is no path."""
    return path_prefix(values[0]) if len(values) == 1 else None
