"""An instance of which everything was measured."""

from __future__ import annotations

import msgspec

from services.gateway.fleet.views import InstanceView
from shared.contracts.instances import BlockDevice, InstanceSample, Interface, MemoryParts
from tests.support.known import a_sample, known

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
MEASURED: InstanceSample = a_sample(
    cpu_user_s=12.25,
    cpu_system_s=3.5,
    memory=PARTS,
    interfaces=(NIC,),
    block_devices=(DISK,),
)


def a_measured_instance(device: str = "eth0") -> InstanceView:
    """Return a running container with all values; its interface has this name."""
    nic = msgspec.structs.replace(NIC, device=device)
    return known(sample=msgspec.structs.replace(MEASURED, interfaces=(nic,)))
