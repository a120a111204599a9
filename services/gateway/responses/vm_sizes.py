"""The sizes of an instance: its limits, or what it has without them.

An unlimited container has what its host has, an unlimited virtual machine LXD's own default.
"""

from __future__ import annotations

from services.gateway import units
from services.gateway.fleet.views import HostView, InstanceView
from shared.contracts.hosts import VIRTUAL_MACHINE
from shared.contracts.instances import Instance
from shared.contracts.sizes import cpu_count

# What LXD gives a virtual machine that has no limit.
VM_CPUS, VM_MEMORY = 1, units.GIB


def vm_sizes(known: InstanceView, host: HostView) -> dict[str, int | None]:
    """Return CPUs, and bytes of memory and disk; None: that is not known."""
    if known.error:
        return dict.fromkeys(("cpu", "memory", "disk"))
    return {
        "cpu": cpus(known.instance, host),
        "memory": _memory(known.instance, host),
        "disk": _disk(known, host),
    }


def cpus(instance: Instance, host: HostView) -> int | None:
    """Return how many CPUs an instance may use, of a count (`2`) or a set (`0-3`, `1,3`).

    None: that is not known.
    """
    if instance.cpu_limit:
        return cpu_count(instance.cpu_limit)
    if instance.type == VIRTUAL_MACHINE:
        return VM_CPUS
    return host.sample.host.cpu_cores if host.sample else None


def _memory(instance: Instance, host: HostView) -> int | None:
    if instance.memory_limit is not None:
        return instance.memory_limit
    if instance.type == VIRTUAL_MACHINE:
        return VM_MEMORY
    return host.sample.host.memory_total if host.sample else None


def disk_in_sample(known: InstanceView) -> int | None:
    """Return the size of its disk that is shown of its sample; None where there is a limit."""
    if known.instance.root_size is not None:
        return None
    sample = known.sample
    return sample.disk_total if sample else None


def _disk(known: InstanceView, host: HostView) -> int | None:
    if known.instance.root_size is not None:
        return known.instance.root_size
    sampled = disk_in_sample(known)
    if sampled is not None:
        return sampled
    return host.sample.host.disk_total if host.sample else None
