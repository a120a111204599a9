"""Builders of what the gateway knows: instances and hosts as the instances API's document shows."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from services.gateway.fleet.views import HostView, InstanceView
from shared.contracts.events import HostDescribed, Sampled
from shared.contracts.hosts import Capacity, Image, Network
from shared.contracts.instances import Address, HostSample, Instance, InstanceSample
from shared.contracts.status import is_alive

MIB = 2**20
GIB = 2**30


def an_instance(name: str = "test1", **changes: object) -> Instance:
    """Return a running container as the instances API's document shows it."""
    shown = Instance(
        name=name,
        uuid=f"uuid-{name}",
        type="container",
        status="Running",
        architecture="x86_64",
        created_at="2026-01-20T10:00:00Z",
        description=f"{name} 20001 password123 30000 30025",
        memory_limit=512 * MIB,
        root_size=10 * GIB,
    )
    return msgspec.structs.replace(shown, **changes)


def a_sample(name: str = "test1", **changes: object) -> InstanceSample:
    """Return the use that the document shows."""
    shown = InstanceSample(
        name=name,
        uuid=f"uuid-{name}",
        cpu_percent=47.5,
        memory_used=256 * MIB,
        memory_total=512 * MIB,
        disk_used=2 * GIB,
        disk_total=10 * GIB,
        network_rx=100 * MIB,
        network_tx=50 * MIB,
        processes=3,
        addresses=(
            Address(device="eth0", family="inet", address="10.0.0.100", scope="global"),
            Address(device="eth0", family="inet6", address="fe80::1", scope="link"),
        ),
    )
    return msgspec.structs.replace(shown, **changes)


def a_host_sample(**changes: object) -> Sampled:
    """Return the host's figures that the document shows."""
    shown = HostSample(
        cpu_cores=4,
        cpu_percent=35.2,
        memory_total=16 * GIB,
        memory_used=8 * GIB,
        disk_total=500 * GIB,
        disk_used=250 * GIB,
    )
    return Sampled(
        epoch=1,
        sequence=1,
        at="2026-01-23T11:30:00Z",
        interval_s=5.0,
        source="lxd",
        host=msgspec.structs.replace(shown, **changes),
        instances=[],
    )


def described(**changes: object) -> HostDescribed:
    """Return what a host with 8 CPUs and one image, `busybox`, has for new instances."""
    shown = HostDescribed(
        epoch=1,
        at="2026-01-23T11:30:00Z",
        capacity=Capacity(cpu=8, memory=16 * GIB, disk=100 * GIB),
        images=[Image(fingerprint="ab12cd34ef56", aliases=("busybox",), os="busybox1")],
        networks=[Network(name="lxdbr0", type="bridge", managed=True)],
        projects=["default"],
    )
    return msgspec.structs.replace(shown, **changes)


def a_host(host: str = "h1") -> HostView:
    """Return a host that is well."""
    return HostView(
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


def known(
    instance: Instance | None = None, sample: InstanceSample | None = None, host: str = "h1"
) -> InstanceView:
    """Return an instance of a host that is online; one that is not stopped has a sample."""
    shown = instance or an_instance()
    measured = a_sample(shown.name) if is_alive(shown.status) else None
    return InstanceView(
        host=host,
        instance=shown,
        sample=sample or measured,
        sampled_at="2026-01-23T11:30:00Z" if measured else None,
    )


def away(host: HostView, age_s: float) -> HostView:
    """Return the host when it has not been heard of for so long."""
    return replace(host, online=False, lxd_connected=False, age_s=age_s)
