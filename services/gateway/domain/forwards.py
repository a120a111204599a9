"""The ports of a host that lead to an instance: ours, and the proxy devices of its operator.

Ours are the devices `ssh` and `forward-<n>`, which are given out and changed through the API.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from shared.contracts.changes import Forward
from shared.contracts.forwards import forward_of, is_ours
from shared.contracts.instances import Proxy

SSH = 22


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
    read = [(proxy, _forwarded(proxy)) for proxy in proxies]
    ours = [forward for _, forward in read if forward]
    leads_to_ssh = (f.listen for f in ours if (f.protocol, f.connect, f.count) == ("tcp", SSH, 1))
    return Ports(
        address=address,
        ssh=next(leads_to_ssh, None),
        forwards=sorted(ours, key=lambda forward: (forward.protocol, forward.listen)),
        others=[proxy for proxy, forward in read if forward is None],
    )


def _forwarded(proxy: Proxy) -> Forward | None:
    """Return a proxy of ours; None for any other."""
    return forward_of(proxy.listen, proxy.connect) if is_ours(proxy.device) else None
