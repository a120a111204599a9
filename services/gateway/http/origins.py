"""Whose web page is calling, and under which name it found us.

A browser lets any page send requests to `localhost`, and a name that an attacker owns can be made
to resolve there. The `Origin` and `Host` headers tell such pages from our own; programs that are
no browsers send no `Origin`.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

_DEFAULT_PORTS = (":80", ":443")
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to


def origin_allowed(origin: str, host: str, allowed: Iterable[str]) -> bool:
    """Whether a page of `origin` may act on a gateway that it reached as `host`."""
    named = {entry.rstrip("/").lower() for entry in allowed}
    return bool({"*", origin.lower()} & named) or _same_site(origin, host)


def host_allowed(host: str, binds: Iterable[tuple[str, int]], allowed: Iterable[str]) -> bool:
    """Whether a gateway without a token may be called `host`.

    Loopback names and the bound addresses may, and the hosts of allowed origins; any other name
    could be an attacker's that resolves to us.
    """
    name = _name(host)
    bound = {address for address, _ in binds}
    if name == "localhost" or name in bound:
        return True
    if name in {urlsplit(origin).hostname for origin in allowed}:
        return True
    address = _address(name)
    return address is not None and (address.is_loopback or bool(bound & _EVERY_ADDRESS))


def _same_site(origin: str, host: str) -> bool:
    site = _netloc(origin)
    return bool(site) and _without_default_port(site) == _without_default_port(host.lower())


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""  # brackets that hold no address: no browser's


def _without_default_port(netloc: str) -> str:
    # A proxy that ends TLS changes the scheme, so the scheme cannot tell which default is meant.
    for port in _DEFAULT_PORTS:
        netloc = netloc.removesuffix(port)
    return netloc


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _address(name: str | None) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name or "")
    except ValueError:
        return None
