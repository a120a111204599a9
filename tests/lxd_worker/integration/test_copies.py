"""A real LXD makes a new instance of a snapshot."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from shared.contracts.instance_config import ImageSource, NewInstance, SnapshotSource
from shared.contracts.operations import Kind, State
from tests.support.bus_side import BusSide, submission
from tests.support.lxd import Instances
from tests.support.worker_process import WorkerProcess

MIB = 1 << 20


@pytest.fixture
def settings(nat_settings: dict[str, str]) -> dict[str, str]:
    return nat_settings


def found(instances: Instances, name: str) -> dict[str, Any]:
    return dict(instances.lxd.call("GET", f"/1.0/instances/{name}"))


def exec_status(instances: Instances, name: str, script: str) -> int:
    body = {"command": ["sh", "-c", script], "environment": {}}
    return int(instances.lxd.call("POST", f"/1.0/instances/{name}/exec", body)["return"])


def test_it_has_the_snapshots_data_and_an_identity_of_its_own(
    worker: WorkerProcess, bus: BusSide, instances: Instances, first_port: int
) -> None:
    profile = instances.lxd.call("GET", "/1.0/profiles/default")["devices"]
    nic = next(one for one in profile.values() if one["type"] == "nic")
    listen = f"tcp:127.0.0.1:{first_port + 50}"
    source = instances.launch(
        "source",
        config={
            "user.lxdfleet.label.tier": "front",
            "user.description": "source 1 secret",
            "user.other": "kept",
            "limits.memory": str(64 * MIB),
        },
        devices={
            "eth0": nic | {"hwaddr": "00:16:3e:00:0b:01"},
            "http": {"type": "proxy", "listen": listen, "connect": "tcp:127.0.0.1:80"},
        },
        description="the source",
    )
    exec_status(instances, source, "echo old > /root/note; sync")
    instances.lxd.call("POST", f"/1.0/instances/{source}/snapshots", {"name": "s1"})
    exec_status(instances, source, "rm /root/note")
    name = instances.name("copy")
    new = NewInstance(
        image=ImageSource(),
        copy_of=SnapshotSource(instance=source, uuid=instances.lxd.uuid_of(source), snapshot="s1"),
        cpu=0,
        memory=64 * MIB,
        disk=0,
        display_name="The Copy",
        auto_start=True,
    )
    wanted = submission(Kind.CREATE, name, str(uuid.uuid4()), arguments={"create": new})

    operation = bus.carry_out(wanted)

    assert (operation.failure, operation.state) == (None, State.DONE)
    made, original = found(instances, name), found(instances, source)
    assert made["status"] == "Running"
    assert made["config"]["volatile.uuid"] == wanted.uuid
    assert original["config"]["volatile.uuid"] != wanted.uuid
    mac, other = (each["config"].get("volatile.eth0.hwaddr") for each in (made, original))
    assert mac is not None
    assert mac != (other or "00:16:3e:00:0b:01")
    assert "hwaddr" not in made["expanded_devices"]["eth0"]
    proxies = [one for one in made["expanded_devices"].values() if one["type"] == "proxy"]
    assert proxies == []
    kept = {key: text for key, text in made["config"].items() if key.startswith("user.")}
    assert kept == {
        "user.other": "kept",
        "user.lxdfleet.name": "The Copy",
        "user.lxdfleet.operation": wanted.operation_id,
    }
    assert made["description"] == ""
    assert exec_status(instances, name, "test -e /root/note") == 0
    assert exec_status(instances, source, "test ! -e /root/note") == 0
    assert operation.after is not None
    assert (operation.after.labels, operation.after.proxies) == ({}, ())
