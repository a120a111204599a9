"""Return how much CPU and memory LXD's settings allow an instance."""

from __future__ import annotations

import re
from collections.abc import Mapping

from shared.contracts.hosts import VIRTUAL_MACHINE
from shared.contracts.sizes import cpu_count, memory_limit

# LXD's defaults for a virtual machine without limits; a container without any has the whole host.
VM_CPUS = "1"
VM_MEMORY = "1GiB"

# The kernel accepts no longer times, and floats can represent these.
_QUOTA = re.compile(r"(\d{1,18})ms/(\d{1,18})ms")


def allowed_cpus(kind: str, config: Mapping[str, str], host_cpus: int) -> float | None:
    """Return how many CPUs an instance may keep busy, or None if the setting is not understood.

    At most the host's. An allowance in percent is ignored, as LXD applies it only while others need
    the CPU too.
    """
    unlimited = VM_CPUS if kind == VIRTUAL_MACHINE else ""
    cpus = _cpu_limit(config.get("limits.cpu") or unlimited, host_cpus)
    quota = _QUOTA.fullmatch(config.get("limits.cpu.allowance", ""))
    if cpus is None or quota is None or kind == VIRTUAL_MACHINE:
        return cpus
    return min(cpus, int(quota[1]) / int(quota[2])) or None if int(quota[2]) else None


def allowed_memory(kind: str, config: Mapping[str, str], host_memory: int) -> int:
    """Return how many bytes an instance may use: its limit, else LXD's default."""
    unlimited = VM_MEMORY if kind == VIRTUAL_MACHINE else ""
    limit = memory_limit(config.get("limits.memory") or unlimited, host_memory)
    return host_memory if limit is None else limit


def _cpu_limit(text: str, host_cpus: int) -> float | None:
    """Return the CPUs in `limits.cpu`, at most the host's; all of them if it is empty."""
    count = cpu_count(text) if text else host_cpus
    return None if count is None else min(count, host_cpus) or None
