"""The ports of the host that are in use, as its kernel lists them.

The worker has to share the host's network for this: in a network of its own it sees only itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from services.lxd_worker.creation.port_pool import Ports

_PROTOCOLS = {"tcp": "tcp", "tcp6": "tcp", "udp": "udp", "udp6": "udp"}
# `   0: 0100007F:0016 ...`: a number, then an address and a port.
_LOCAL = re.compile(rb"\s*\d+:\s+[0-9A-F]+:([0-9A-F]{4})\s")


def ports_in_use(net: Path = Path("/proc/net")) -> Ports:
    """Return the ports that nothing else can listen on now; a host without IPv6 has no such files.

    A port from which the host itself has connected to somewhere is one of them while that lasts.
    """
    return frozenset(
        (protocol, port)
        for name, protocol in _PROTOCOLS.items()
        if (net / name).exists()
        for port in _local(net / name)
    )


def _local(table: Path) -> Iterator[int]:
    # Line by line: it has one for each connection of the host's.
    with table.open("rb") as lines:
        for line in lines:
            if local := _LOCAL.match(line):
                yield int(local[1], 16)
