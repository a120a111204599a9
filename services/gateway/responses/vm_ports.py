"""The ports of a host that lead to an instance: ours, and the proxy devices of its operator.

Ours are given out and changed through the API; `shared.contracts.forwards` says which these are.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from shared.contracts.changes import Forward
from shared.contracts.forwards import forward_of, leads_to_ssh
from shared.contracts.instances import Proxy


class Ports(Struct, frozen=True, kw_only=True):
    """All that leads to an instance; `address` is the host's, empty where it has no pool.

    `ssh` is the port that leads to its SSH. `others` are its operator's proxies, as LXD has them.
    """

    address: str
    ssh: int | None
    forwards: list[Forward]
    others: list[Proxy]


def ports(proxies: Iterable[Proxy], address: str) -> Ports:
    """Return what leads to an instance with these proxies, by protocol and port."""
    read = [(proxy, forward_of(proxy)) for proxy in proxies]
    ours = [forward for _, forward in read if forward]
    return Ports(
        address=address,
        ssh=next((forward.listen for forward in ours if leads_to_ssh(forward)), None),
        forwards=sorted(ours, key=lambda forward: (forward.protocol, forward.listen)),
        others=[proxy for proxy, forward in read if forward is None],
    )
