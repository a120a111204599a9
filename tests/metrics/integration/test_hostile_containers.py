"""A container's root does its worst on a real LXD: its sample fits, and the other's is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.metrics.sampler.sanitize import MOST_ADDRESSES, MOST_INSTANCE_BYTES
from shared.contracts.codec import encode
from tests.support.lxd import Instances
from tests.support.sampler_process import Reader, sample_of

pytestmark = pytest.mark.attack

ADDRESSES = 4000
# Its init gives itself a name that ends in half a letter, moves into a cgroup of an odd name where
# it may mount one, makes interfaces of odd names, and gives one of them addresses.
HALF_A_LETTER = r"""printf 'half a letter\303' > /proc/self/comm"""
ODD_CGROUP = r"""
mkdir /cgroup
mount -t cgroup -o cpuacct none /cgroup || mount -t cgroup2 none /cgroup
mkdir "/cgroup/$(printf 'g\377\013')"
echo 1 > "/cgroup/$(printf 'g\377\013')/cgroup.procs"
"""
ODD_INTERFACES = r"""
ip link add name "$(printf 'h\303')" type veth
ip link add name "$(printf 'x\034y')" type bridge
"""
MANY_ADDRESSES = f"""
i=0
while [ $i -lt {ADDRESSES} ]; do
    ip addr add 10.7.$((i / 250)).$((i % 250))/32 dev lo
    i=$((i + 1))
done
"""
FOR_EVER = "while :; do sleep 60; done"


def give_init(instances: Instances, name: str, *script: str) -> int:
    """Let this script be the init of a container from now on; return its process on the host."""
    text = "\n".join(["#!/bin/sh", *script, FOR_EVER, ""])
    replace = 'rm /sbin/init && printf %s "$SCRIPT" > /sbin/init && chmod 755 /sbin/init'
    body = {
        "command": ["sh", "-c", replace],
        "environment": {"SCRIPT": text},
        "wait-for-websocket": False,
    }
    instances.lxd.call("POST", f"/1.0/instances/{name}/exec", body)
    instances.set_state(name, "restart", force=True)
    return int(instances.lxd.call("GET", f"/1.0/instances/{name}/state")["pid"])


@pytest.mark.usefixtures("sampler")
def test_a_container_whose_root_does_its_worst_costs_its_neighbour_nothing(
    reader: Reader, instances: Instances
) -> None:
    web, evil = instances.launch("web"), instances.launch("evil")
    reader.until(
        lambda sample: sample_of(sample, web) is not None and sample_of(sample, evil) is not None
    )

    init = give_init(instances, evil, HALF_A_LETTER, ODD_CGROUP, ODD_INTERFACES, MANY_ADDRESSES)
    attacked = reader.until(
        lambda sample: len(getattr(sample_of(sample, evil), "addresses", ())) > 20, within_s=60
    )
    following = [reader.next(), reader.next()]

    assert b"\xc3" in Path(f"/proc/{init}/comm").read_bytes()
    assert b"/g\xff" in Path(f"/proc/{init}/cgroup").read_bytes()
    assert attacked.source == "cgroup"
    sequence = attacked.sequence
    assert [each.sequence for each in following] == [sequence + 1, sequence + 2]
    for sample in (attacked, *following):
        hurt, unhurt = sample_of(sample, evil), sample_of(sample, web)
        assert hurt is not None
        assert hurt.cpu_ns
        assert len(hurt.addresses) <= MOST_ADDRESSES
        assert len(encode(hurt)) <= MOST_INSTANCE_BYTES
        assert unhurt is not None
        assert unhurt.cpu_percent is not None
        assert unhurt.memory_used
        assert unhurt.network_rx
        assert [each.device for each in unhurt.interfaces or ()] == ["eth0"]


@pytest.mark.usefixtures("sampler")
def test_interfaces_of_odd_names_are_told_by_names_that_can_be_sent(
    reader: Reader, instances: Instances
) -> None:
    evil = instances.launch("evil")

    # Without its end on the host the traffic is read inside.
    give_init(instances, evil, ODD_INTERFACES, "ip link delete eth0")
    sample = reader.until(
        lambda sample: len(getattr(sample_of(sample, evil), "interfaces", None) or ()) > 1
    )

    measured = sample_of(sample, evil)
    assert measured is not None
    assert measured.interfaces is not None
    assert {each.device for each in measured.interfaces} == {r"h\udcc3", r"x\x1cy", "veth0"}
    assert measured.network_rx is not None
