"""The ports of the host that are in use, as its kernel lists them.

The worker has to share the host's network for this: in a network of its own it sees only itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from services.lxd_worker.domain.nat_pool import Ports

_PROTOCOLS = {"tcp": "tcp", "tcp6": "tcp", "udp": "udp", "udp6": "udp"}


def ports_in_use(net: Path = Path("/proc/net")) -> Ports:
    """Return the ports that nothing else can listen on now; a host without IPv6 has no such files.

    A port from which the host itself has connected to somewhere is one of them while that lasts.
    """
    return frozenset(
        (protocol, port)
        for name, protocol in _PROTOCOLS.items()
        if (net / name).exists()
        for port in _local((net / name).read_text())
    )


def _local(table: str) -> Iterator[int]:
    for line in table.splitlines()[1:]:
        yield int(line.split()[1].rpartition(":")[2], 16)
