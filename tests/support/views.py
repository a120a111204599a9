"""What the gateway shows: instances and hosts as the instances API's document has them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from services.gateway.fleet.encoded_samples import encoded_instance
from services.gateway.fleet.remote_images import ServerImages
from services.gateway.fleet.views import HostView, InstanceView
from shared.contracts.hosts import Image
from shared.contracts.instances import Instance
from shared.contracts.samples import BlockDevice, InstanceSample, Interface, MemoryParts
from shared.contracts.status import is_alive
from tests.support.builders import (
    a_description,
    a_documented_instance,
    a_host_sample,
    an_instance_sample,
)

PARTS = MemoryParts(
    cached=1,
    rss=2,
    shmem=3,
    mapped=4,
    dirty=5,
    writeback=6,
    swap=7,
    unevictable=8,
    active_anon=100,
    active_file=20,
    inactive_anon=300,
    inactive_file=40,
)
NIC = Interface(
    device="eth0",
    rx_bytes=11,
    tx_bytes=12,
    rx_packets=13,
    tx_packets=14,
    rx_errors=15,
    tx_errors=16,
    rx_dropped=17,
    tx_dropped=18,
)
DISK = BlockDevice(
    device="vda", read_bytes=20971520, written_bytes=41943040, reads=640, writes=1280
)
# Of which everything was measured.
MEASURED = an_instance_sample(
    cpu_user_s=12.25,
    cpu_system_s=3.5,
    memory=PARTS,
    interfaces=(NIC,),
    block_devices=(DISK,),
)


def a_host_view(host: str = "h1", **changes: Any) -> HostView:
    """Return a host that is well."""
    well = HostView(
        host=host,
        online=True,
        lxd_connected=True,
        trusted=True,
        fingerprint="3c5f2a",
        server="lxd",
        lxd="5.0.2",
        server_name=host,
        age_s=0.5,
        inventory_age_s=12.0,
        clock_skew_s=0.01,
        instances=1,
        sample=a_host_sample(),
        sample_age_s=1.0,
    )
    return replace(well, **changes)


def a_host_with(*images: Image, host: str = "h1", **servers: ServerImages) -> HostView:
    """Return a host with these images, that may use these servers; with none it has not told."""
    return a_host_view(
        host, resources=a_description(images=list(images)), remote_images=servers or None
    )


def a_view(
    name: str = "test1", *, host: str = "h1", sample: InstanceSample | None = None, **changes: Any
) -> InstanceView:
    """Return the document's instance with these changes, as the gateway shows it."""
    return view_of(a_documented_instance(name, **changes), sample, host)


def view_of(
    instance: Instance, sample: InstanceSample | None = None, host: str = "h1"
) -> InstanceView:
    """Return an instance of a host that is online; one that is not stopped has a sample."""
    measured = an_instance_sample(instance.name) if is_alive(instance.status) else None
    shown = sample or measured
    return InstanceView(
        host=host,
        instance=instance,
        encoded_sample=encoded_instance(shown) if shown else None,
        sampled_at="2026-01-23T11:30:00Z" if measured else None,
    )


def an_offline_host(host: str = "h1", *, age_s: float) -> HostView:
    """Return a host that has not been heard of for so long."""
    return a_host_view(host, online=False, lxd_connected=False, age_s=age_s)


def a_measured_view(device: str = "eth0") -> InstanceView:
    """Return a running container with all values; its interface has this name."""
    nic = msgspec.structs.replace(NIC, device=device)
    return a_view(sample=msgspec.structs.replace(MEASURED, interfaces=(nic,)))
