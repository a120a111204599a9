"""Which proxy devices are ports that we gave out: the host makes them, and the gateway shows them.

A name alone says nothing, for operators call a device `ssh` too. Ours have a name of ours, the very
form in which we write them, and no setting beside that. Any other proxy device is its operator's.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from shared.contracts.changes import Forward
from shared.contracts.instances import Proxy

SSH = 22
SSH_DEVICE = "ssh"
# Where a forward ends, inside the instance.
INSIDE = "127.0.0.1"

_NAMES = re.compile(r"ssh|forward-[0-9]+")
_ENDPOINT = re.compile(
    r"(?P<protocol>tcp|udp):(?P<address>\[[^\]]*\]|[^:]*)"
    r":(?P<first>[1-9][0-9]{0,4})(?:-(?P<last>[1-9][0-9]{0,4}))?"
)
_LAST_PORT = 65535


def forward_of(proxy: Proxy) -> Forward | None:
    """Return what a proxy of ours forwards; None for any other proxy."""
    outside, inside = _ENDPOINT.fullmatch(proxy.listen), _ENDPOINT.fullmatch(proxy.connect)
    if proxy.options or not _NAMES.fullmatch(proxy.device) or not (outside and inside):
        return None
    if not _is_given_out(outside["address"]) or inside["address"] != INSIDE:
        return None
    forward = Forward(
        protocol=outside["protocol"],
        listen=int(outside["first"]),
        connect=int(inside["first"]),
        count=_count(outside),
    )
    alike = (inside["protocol"], _count(inside)) == (forward.protocol, forward.count)
    possible = forward.count >= 1 and max(_last(outside), _last(inside)) <= _LAST_PORT
    named = proxy.device != SSH_DEVICE or leads_to_ssh(forward)
    return forward if alike and possible and named else None


def leads_to_ssh(forward: Forward) -> bool:
    """Whether a forward is one port that leads to an instance's SSH."""
    return (forward.protocol, forward.connect, forward.count) == ("tcp", SSH, 1)


def _is_given_out(address: str) -> bool:
    """Whether a pool's ports can be on an address: on one, never on all of a host's."""
    try:
        return not ip_address(address.strip("[]")).is_unspecified
    except ValueError:
        return False


def _count(endpoint: re.Match[str]) -> int:
    return _last(endpoint) - int(endpoint["first"]) + 1


def _last(endpoint: re.Match[str]) -> int:
    return int(endpoint["last"] or endpoint["first"])
