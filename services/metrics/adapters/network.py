"""The kernel's counters of network interfaces."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from services.metrics.domain.network import parse_net_dev, traffic_of
from services.metrics.domain.usage import Traffic
from services.metrics.ports import HostNetwork


class ProcNetDev:
    """The counters in `/proc/net/dev`: the file tells of the network of whoever reads it."""

    def host(self) -> HostNetwork:
        """Return the counters of the network that we are in."""
        counters = parse_net_dev(Path("/proc/net/dev").read_text())
        return HostNetwork(counters, frozenset(filter(_is_hardware, counters)))

    def inside(self, pid: int) -> Traffic | None:
        """Return the traffic of the network that a process is in.

        The file is not kept open: that would keep the network and its interfaces alive.
        """
        try:
            text = Path(f"/proc/{pid}/net/dev").read_text()
        except OSError:
            return None
        return traffic_of(parse_net_dev(text))


@lru_cache(maxsize=4096)
def _is_hardware(interface: str) -> bool:
    return Path(f"/sys/class/net/{interface}/device").exists()
