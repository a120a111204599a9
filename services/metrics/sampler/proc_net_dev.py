"""Read the kernel's counters of network interfaces."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from services.metrics.sampler.kernel_counters import Traffic
from services.metrics.sampler.network import parse_net_dev, traffic_of
from services.metrics.sampler.protocols import HostNetwork
from services.metrics.sampler.sanitize import TOO_MANY, Dropped

# The most that is read of an instance's network, some 500 interfaces: root inside can create any
# number of them, and each costs some microseconds per round.
MOST_BYTES_INSIDE = 64 << 10
# The same for the host, which has an interface for each instance: some 60,000.
MOST_BYTES = 8 << 20


class ProcNetDev:
    """The counters in `/proc/net/dev`, which shows the network namespace of its reader."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    def host(self, dropped: Dropped) -> HostNetwork:
        """Return the counters in our own network namespace."""
        with (self._proc / "net" / "dev").open("rb") as file:
            text = file.read(MOST_BYTES)
        counters = parse_net_dev(text[: text.rfind(b"\n") + 1], dropped)
        return HostNetwork(counters, frozenset(filter(_is_hardware, counters)))

    def inside(self, pid: int, first: Collection[str], dropped: Dropped) -> Traffic | None:
        """Return the traffic in a process's network namespace; None if that is too long to read.

        The file is not kept open, which would keep the namespace and its interfaces alive.
        """
        try:
            with (self._proc / str(pid) / "net" / "dev").open("rb") as file:
                text = file.read(MOST_BYTES_INSIDE + 1)
        except OSError:
            return None
        if len(text) > MOST_BYTES_INSIDE:
            dropped[TOO_MANY] += 1
            return None
        return traffic_of(parse_net_dev(text, dropped), dropped, first)


@lru_cache(maxsize=4096)
def _is_hardware(interface: str) -> bool:
    return Path(f"/sys/class/net/{interface}/device").exists()
