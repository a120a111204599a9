"""What LXD is given when an instance is changed, and which proxy devices are forwards of ours."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.lxd_worker.creation.port_pool import NatPool, assign_forwards
from services.lxd_worker.instances.description import EditableInstance, to_instance
from services.lxd_worker.instances.devices import Devices, forwards_of
from services.lxd_worker.instances.observation import InstanceConfig
from services.lxd_worker.instances.update_request import DesiredConfig, update_body
from shared.contracts.instance_config import Changes, Forward
from shared.contracts.instances import Proxy

POOL = NatPool(host="h1", address="192.0.2.1", ports=((1, 65535),))
SSH = {"type": "proxy", "listen": "tcp:192.0.2.1:20001", "connect": "tcp:127.0.0.1:22"}
WEB = {"type": "proxy", "listen": "tcp:192.0.2.1:30000-30009", "connect": "tcp:127.0.0.1:80-89"}
DNS = {"type": "proxy", "listen": "udp:192.0.2.1:53", "connect": "udp:127.0.0.1:53"}
OPERATORS = {"type": "proxy", "listen": "tcp:0.0.0.0:443", "connect": "tcp:127.0.0.1:443"}
PROFILE = {"root": {"type": "disk", "path": "/", "pool": "fast"}}
USER = ("user.description", "user.root_password")
FROM_LXD: dict[str, Any] = {
    "name": "web",
    "status": "Running",
    "type": "container",
    "architecture": "x86_64",
    "created_at": "2026-11-20T10:15:57Z",
    "description": "mine",
    "profiles": ["default"],
    "ephemeral": False,
    "config": {"limits.cpu": "1", "user.lxdfleet.label.tier": "front", "volatile.uuid": "u-1"},
    "devices": {"https": OPERATORS, "ssh": SSH, "forward-0": WEB},
    "expanded_config": {},
    "expanded_devices": PROFILE,
}


def after(changes: Changes, found: dict[str, Any] = FROM_LXD, **wanted: Any) -> dict[str, Any]:
    """Return what LXD is given; the forwards are as the host's pool makes devices of them."""
    read = msgspec.convert(found, EditableInstance)
    proxies = assign_forwards(POOL, changes.forwards or (), taken=frozenset(), own=frozenset())
    return update_body(read, DesiredConfig(changes=changes, proxies=proxies, **wanted))


def test_nothing_else_is_lost_when_nothing_is_changed() -> None:
    kept = ("architecture", "config", "devices", "ephemeral", "profiles", "description")

    body = after(Changes())

    assert body == {key: FROM_LXD[key] for key in kept}


def test_sizes_are_written_in_bytes_and_switches_as_lxd_has_them() -> None:
    config = after(Changes(cpu=2, memory=64 << 20, auto_start=False))["config"]

    assert config["limits.cpu"] == "2"
    assert config["limits.memory"] == "67108864"
    assert config["boot.autostart"] == "false"
    assert config["volatile.uuid"] == "u-1"


def test_labels_replace_all_that_there_are() -> None:
    config = after(Changes(labels={"customer": "c-7"}))["config"]

    assert {key for key in config if "label" in key} == {"user.lxdfleet.label.customer"}


def test_an_empty_display_name_is_none() -> None:
    named = after(Changes(), display_name="Web Server")["config"]

    unnamed = after(Changes(), FROM_LXD | {"config": named}, display_name="")["config"]

    assert named["user.lxdfleet.name"] == "Web Server"
    assert "user.lxdfleet.name" not in unnamed


def test_a_root_disk_of_a_profile_gets_a_size_on_the_instance() -> None:
    devices = after(Changes(disk=1 << 30))["devices"]

    assert devices["root"] == {"type": "disk", "path": "/", "pool": "fast", "size": "1073741824"}


def test_forwards_replace_ours_only_and_what_stays_keeps_its_device() -> None:
    forwards = (
        Forward(listen=30000, connect=80, count=10),
        Forward(listen=53, connect=53, protocol="udp"),
        Forward(listen=20002, connect=22),
    )

    devices = after(Changes(forwards=forwards))["devices"]

    assert devices == {
        "https": OPERATORS,
        "forward-0": WEB,
        "forward-1": DNS,
        "ssh": SSH | {"listen": "tcp:192.0.2.1:20002"},
    }


NOTED = {"user.lxdfleet.operation": "op-1", "user.description": "old 1 pass 30000 30009"}


@pytest.mark.parametrize(
    ("config", "forwards", "noted"),
    [
        (NOTED, (22,), {"user.description": "web 20002 pass"}),
        (NOTED, (22, 80), {"user.description": "web 20002 pass 20003 20003"}),
        (NOTED, (), {"user.description": "", "user.root_password": "pass"}),
        (NOTED | {"user.description": "old 1 -"}, (22,), {"user.description": "web 20002 -"}),
        (NOTED | {"user.description": "by hand"}, (22,), {"user.description": "by hand"}),
        ({"user.description": "old 1 pass"}, (22,), {"user.description": "old 1 pass"}),
    ],
)
def test_what_a_creation_noted_of_ports_and_password_stays_true(
    config: dict[str, str], forwards: tuple[int, ...], noted: dict[str, str]
) -> None:
    ports = tuple(
        Forward(listen=20002 + number, connect=connect) for number, connect in enumerate(forwards)
    )

    written_config = after(Changes(forwards=ports), FROM_LXD | {"config": config})["config"]

    assert {k: v for k, v in written_config.items() if k in USER} == noted


@pytest.mark.parametrize(
    ("listen", "connect", "forward"),
    [
        ("tcp:192.0.2.1:80", "tcp:127.0.0.1:8080", Forward(listen=80, connect=8080)),
        ("tcp:[2001:db8::1]:80-82", "tcp:127.0.0.1:1-3", Forward(listen=80, connect=1, count=3)),
        ("udp:10.0.0.1:53", "udp:127.0.0.1:53", Forward(listen=53, connect=53, protocol="udp")),
    ],
)
def test_a_forward_is_read_from_lxds_notation(listen: str, connect: str, forward: Forward) -> None:
    assert forwards_of([Proxy(device="forward-3", listen=listen, connect=connect)]) == {forward}


@pytest.mark.parametrize(
    "others",
    [
        {"ssh": SSH | {"bind": "instance"}},
        {"ssh": SSH | {"listen": "tcp:0.0.0.0:20001"}},
        {"forward-0": WEB | {"connect": "tcp:127.0.0.1:80"}},
        {"forward-0": WEB | {"proxy_protocol": "true"}},
        {"forward-0": WEB | {"security.uid": "1000"}},
    ],
)
def test_a_proxy_of_another_is_left_alone_though_it_has_a_name_of_ours(others: Devices) -> None:
    found = FROM_LXD | {"devices": others}

    none = after(Changes(forwards=()), found)["devices"]
    some = after(Changes(forwards=(Forward(listen=3, connect=22),)), found)["devices"]

    assert none == others
    assert some.items() >= others.items()
    assert len(some) == 2


def test_a_forward_takes_no_name_of_a_profiles_device() -> None:
    profile = PROFILE | {"ssh": OPERATORS, "forward-0": OPERATORS}
    found = FROM_LXD | {"devices": {}, "expanded_devices": profile}

    devices = after(Changes(forwards=(Forward(listen=3, connect=22),)), found)["devices"]

    assert list(devices) == ["forward-1"]


def test_a_forward_of_a_profile_is_not_made_again_on_the_instance() -> None:
    found = FROM_LXD | {"devices": {}, "expanded_devices": PROFILE | {"ssh": SSH}}
    wanted = (Forward(listen=20001, connect=22), Forward(listen=53, connect=53, protocol="udp"))

    devices = after(Changes(forwards=wanted), found)["devices"]

    assert devices == {"forward-0": DNS}


def test_a_note_of_a_script_gets_the_new_name_and_nothing_else() -> None:
    note = "old  20144 S3cretPw 30100 30125"
    found = FROM_LXD | {"config": {"user.description": note}, "description": "old 20144 -"}

    body = after(Changes(), found, old_name="old")

    assert body["config"]["user.description"] == "web  20144 S3cretPw 30100 30125"
    assert body["description"] == "web 20144 -"


@pytest.mark.parametrize("text", ["older 20144 pass", "old and 20144", "old", ""])
def test_a_text_that_is_no_note_of_the_old_name_stays(text: str) -> None:
    found = FROM_LXD | {"config": {"user.description": text}, "description": text}

    body = after(Changes(), found, old_name="old")

    assert body["description"] == text
    assert body["config"].get("user.description", "") == text


def test_a_label_that_is_as_it_was_shown_stays_as_lxd_has_it() -> None:
    long = "x" * 300
    found = FROM_LXD | {"config": {"user.lxdfleet.label.long": long}}

    config = after(Changes(labels={"long": long[:255], "new": "y"}), found)["config"]

    assert config["user.lxdfleet.label.long"] == long


@pytest.mark.parametrize(
    "changes",
    [
        Changes(cpu=2, memory=1 << 20, disk=1 << 30),
        Changes(description="", auto_start=True, labels={"a": "b"}),
        Changes(labels={}, forwards=()),
        Changes(forwards=(Forward(listen=30000, connect=80, count=10),)),
        Changes(forwards=(Forward(listen=1, connect=22), Forward(listen=2, connect=22))),
    ],
)
def test_what_is_written_is_what_was_wanted(changes: Changes) -> None:
    body = after(changes)

    effective = {
        "expanded_config": body["config"],
        "expanded_devices": PROFILE | body["devices"],
        "description": body["description"],
    }
    found = msgspec.convert(FROM_LXD | effective, EditableInstance)
    shape = InstanceConfig.of(to_instance(found, revision=0, host_memory=1)[0])
    assert shape.satisfies(changes)
