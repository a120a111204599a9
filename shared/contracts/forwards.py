"""Recognise the proxy devices that are our port forwards, which workers make and gateways list.

A name alone proves nothing, as operators too call a device `ssh`. Ours have one of our names,
exactly the form in which we write them, and no other setting. All others are the operator's.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from shared.contracts.instance_config import Forward
from shared.contracts.instances import Proxy

SSH = 22
SSH_DEVICE = "ssh"
# The address inside the instance to which forwards lead.
INSIDE = "127.0.0.1"

_NAMES = re.compile(r"ssh|forward-[0-9]+")
_ENDPOINT = re.compile(
    r"(?P<protocol>tcp|udp):(?P<address>\[[^\]]*\]|[^:]*)"
    r":(?P<first>[1-9][0-9]{0,4})(?:-(?P<last>[1-9][0-9]{0,4}))?"
)
_LAST_PORT = 65535


def forward_of(proxy: Proxy) -> Forward | None:
    """Return the forward that one of our proxies makes; None for any other proxy."""
    outside, inside = _ENDPOINT.fullmatch(proxy.listen), _ENDPOINT.fullmatch(proxy.connect)
    if proxy.options or not _NAMES.fullmatch(proxy.device) or not (outside and inside):
        return None
    if not _is_pool_address(outside["address"]) or inside["address"] != INSIDE:
        return None
    forward = Forward(
        protocol=outside["protocol"],
        listen=int(outside["first"]),
        connect=int(inside["first"]),
        count=_count(outside),
    )
    both_ends_match = (inside["protocol"], _count(inside)) == (forward.protocol, forward.count)
    in_range = forward.count >= 1 and max(_last(outside), _last(inside)) <= _LAST_PORT
    name_matches = proxy.device != SSH_DEVICE or leads_to_ssh(forward)
    return forward if both_ends_match and in_range and name_matches else None


def leads_to_ssh(forward: Forward) -> bool:
    """Return whether a forward is a single port that leads to an instance's SSH."""
    return (forward.protocol, forward.connect, forward.count) == ("tcp", SSH, 1)


def _is_pool_address(address: str) -> bool:
    """Return whether a pool can use an address: a specific one, never all of a host's."""
    try:
        return not ip_address(address.strip("[]")).is_unspecified
    except ValueError:
        return False


def _count(endpoint: re.Match[str]) -> int:
    return _last(endpoint) - int(endpoint["first"]) + 1


def _last(endpoint: re.Match[str]) -> int:
    return int(endpoint["last"] or endpoint["first"])
