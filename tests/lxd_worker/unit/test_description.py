"""From LXD's description of an instance to ours."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.lxd_worker.instances.description import InstanceDescription, to_instance, to_utc
from shared.contracts.codec import from_wire, to_wire
from shared.contracts.instances import Instance, Proxy

FROM_LXD: dict[str, Any] = {
    "name": "web",
    "status": "Running",
    "type": "container",
    "architecture": "x86_64",
    "created_at": "2026-11-20T10:15:57.197806421Z",
    "last_used_at": "2026-11-20T10:16:00Z",
    "description": "web 20001 secret 30000 30025",
    "project": "default",
    "location": "none",
    "profiles": ["default", "small"],
    "expanded_config": {
        "limits.cpu": "2",
        "limits.memory": "512MiB",
        "boot.autostart": "true",
        "image.os": "Ubuntu",
        "image.release": "focal",
        "user.lxdfleet.name": "Web Server",
        "user.lxdfleet.label.tier": "front",
        "user.lxdfleet.label.customer": "c-7",
        "user.lxdfleet.operation": "op-1",
        "user.ssh_port": "20001",
        "user.user-data": "#cloud-config, with a password in it",
        "volatile.uuid": "u-1",
    },
    "expanded_devices": {
        "eth1": {"type": "nic", "nictype": "bridged", "parent": "br0"},
        "eth0": {"type": "nic", "network": "lxdbr0"},
        "root": {"type": "disk", "path": "/", "pool": "default", "size": "10GiB"},
        "data": {"type": "disk", "path": "/data", "size": "1GiB"},
        "ssh": {"type": "proxy", "listen": "tcp:0.0.0.0:20001", "connect": "tcp:127.0.0.1:22"},
    },
    "stateful": False,
}


def described(**changes: Any) -> Instance:
    read = msgspec.convert(FROM_LXD | changes, InstanceDescription)
    return to_instance(read, revision=7, host_memory=8 * 1024**3)[0]


def test_an_instance_has_the_settings_that_its_profiles_and_it_make_together() -> None:
    instance = described()

    assert instance == Instance(
        name="web",
        uuid="u-1",
        type="container",
        status="Running",
        architecture="x86_64",
        created_at="2026-11-20T10:15:57.197806Z",
        description="web 20001 secret 30000 30025",
        user={"ssh_port": "20001"},
        proxies=(Proxy(device="ssh", listen="tcp:0.0.0.0:20001", connect="tcp:127.0.0.1:22"),),
        cpu_limit="2",
        memory_limit=512 * 1024**2,
        root_size=10 * 1024**3,
        profiles=("default", "small"),
        revision=7,
        display_name="Web Server",
        labels={"customer": "c-7", "tier": "front"},
        operation_id="op-1",
        auto_start=True,
        os="ubuntu20.04",
        networks=("lxdbr0", "br0"),
    )


def test_user_data_never_leaves_the_host() -> None:
    instance = described()

    assert "cloud-config" not in str(msgspec.to_builtins(instance))


def test_an_instance_without_limits_has_none_rather_than_zero() -> None:
    instance = described(expanded_config={}, expanded_devices={}, profiles=None)

    assert (instance.memory_limit, instance.root_size, instance.cpu_limit) == (None, None, "")
    assert (instance.uuid, instance.profiles) == ("", ())


def test_an_instance_that_is_none_of_ours_has_nothing_of_ours() -> None:
    instance = described(expanded_config={}, expanded_devices={})

    assert (instance.display_name, instance.labels, instance.operation_id) == ("", {}, "")
    assert (instance.auto_start, instance.os, instance.networks) == (False, "", ())


def test_a_display_name_is_never_longer_than_a_message_takes() -> None:
    instance = described(expanded_config={"user.lxdfleet.name": "x" * 300})

    assert from_wire(Instance, to_wire(instance)).display_name == "x" * 255


def test_an_instance_of_a_cluster_names_its_member() -> None:
    instance = described(location="node-2")

    assert instance.location == "node-2"


@pytest.mark.parametrize("yes", ["true", "True", "1", "yes", "on"])
def test_auto_start_is_read_as_lxd_reads_it(yes: str) -> None:
    instance = described(expanded_config={"boot.autostart": yes})

    assert instance.auto_start


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ({"os": "Ubuntu", "release": "focal"}, "ubuntu20.04"),
        ({"os": "ubuntu", "release": "noble", "version": "24.04"}, "ubuntu24.04"),
        ({"os": "Debian", "release": "bookworm"}, "debian12"),
        ({"os": "Alpine", "release": "3.19"}, "alpine3.19"),
        ({"os": "Rocky Linux", "release": "9"}, "rockylinux9"),
        ({"os": "BusyBox"}, "busybox"),
        ({"release": "3.19"}, ""),
    ],
)
def test_the_os_is_the_images_distribution_and_version(image: dict[str, str], name: str) -> None:
    instance = described(expanded_config={f"image.{key}": text for key, text in image.items()})

    assert instance.os == name


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20T10:15:57Z", "2026-11-20T10:15:57Z"),
        ("2026-11-20T10:15:57.197806421Z", "2026-11-20T10:15:57.197806Z"),
        ("2026-11-20T18:15:57+08:00", "2026-11-20T10:15:57Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("9998-12-31T23:59:59Z", "9998-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00Z", ""),
        ("0001-01-01T00:00:00+08:00", ""),
        ("9999-12-31T23:59:59Z", ""),
        ("9999-12-31T23:59:59-12:00", ""),
        ("10000-01-01T00:00:00Z", ""),
        ("yesterday", ""),
        ("", ""),
    ],
)
def test_a_time_of_lxds_becomes_utc_if_it_can_be_shown(text: str, moment: str) -> None:
    assert to_utc(text) == moment
