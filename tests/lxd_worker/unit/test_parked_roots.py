"""What is written on roots that are beside an instance, and what LXD is given of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from services.lxd_worker.instances import parked_roots
from services.lxd_worker.instances.description import EditableInstance
from services.lxd_worker.instances.parked_roots import names_for, parked_root, trash_of
from services.lxd_worker.journal.entry import AllocationPlan, RootSwapPlan
from services.lxd_worker.rebuild import requests
from shared.contracts.errors import LxdRefused
from shared.contracts.instances import Trash

UUID = "00000000-0000-4000-8000-000000000001"
SWAP = RootSwapPlan(incoming="op", beside="new-1-web", trash="trash-1-web", until=1800000000)
PLAN = AllocationPlan(source={"type": "image", "fingerprint": "f"}, devices={}, swap=SWAP)
ROOT = {"type": "disk", "path": "/", "pool": "default", "size": "1GiB"}
SSH = {"type": "proxy", "listen": "tcp:0.0.0.0:2201", "connect": "tcp:127.0.0.1:22"}
NIC = {"type": "nic", "network": "lxdbr0", "name": "eth0"}
NONE = {"type": "none"}
CONFIG = {
    "volatile.uuid": UUID,
    "volatile.eth0.hwaddr": "00:16:3e:00:00:01",
    "volatile.base_image": "old",
    "image.os": "Ubuntu",
    "limits.cpu": "2",
    "boot.autostart": "true",
    "security.protection.delete": "true",
    "user.description": "web 2201 pw",
    "cloud-init.user-data": "#cloud-config",
}


def web(**more: Any) -> EditableInstance:
    devices = {"root": ROOT, "ssh": SSH}
    fields: dict[str, Any] = {
        "name": "web",
        "type": "container",
        "architecture": "x86_64",
        "config": CONFIG,
        "expanded_config": CONFIG,
        "devices": devices,
        "expanded_devices": devices | {"eth0": NIC},
        "ephemeral": False,
        "profiles": ("default",),
        "description": "the shop",
    } | more
    return EditableInstance(**fields)


def as_lxd_has(body: dict[str, Any], name: str, **own: str) -> EditableInstance:
    config = {**body["config"], **own}
    return web(name=name, config=config, expanded_config=config, devices=body["devices"])


def test_a_new_root_has_the_limits_and_nothing_that_two_cannot_have() -> None:
    body: Any = requests.new_root_body(web(), PLAN, SWAP)

    assert (body["name"], body["source"]) == ("new-1-web", PLAN.source)
    assert body["devices"] == {"root": ROOT, "ssh": NONE, "eth0": NONE}
    assert body["config"] == {
        "volatile.uuid": UUID,
        "limits.cpu": "2",
        "boot.autostart": "false",
        "security.protection.delete": "false",
        "user.description": "web 2201 pw",
        "cloud-init.user-data": "#cloud-config",
        "user.lxdfleet.root": "op",
        "user.lxdfleet.aside": "new-1-web 1800000000",
    }


def test_what_is_set_aside_and_put_back_is_what_it_was() -> None:
    set_aside: Any = requests.park(web(), "trash-1-web", 1800000000)
    there = as_lxd_has(set_aside, "web")

    back: Any = requests.unpark(there)

    assert set_aside["devices"] == {"root": ROOT, "ssh": NONE, "eth0": NONE}
    assert set_aside["config"]["boot.autostart"] == "false"
    assert (back["config"], back["devices"]) == (CONFIG, {"root": ROOT, "ssh": SSH})


def test_the_new_root_gets_all_that_the_old_one_had_but_what_is_of_a_root() -> None:
    made: Any = requests.new_root_body(web(), PLAN, SWAP)
    own = {"volatile.base_image": "new", "image.os": "Debian", "volatile.eth0.hwaddr": "other"}
    new = as_lxd_has(made, "web", **own)
    old = as_lxd_has(requests.park(web(), "trash-1-web", 1800000000), "trash-1-web")

    body: Any = requests.put_in_place(new, old, SWAP)

    assert body["devices"] == {"root": ROOT, "ssh": SSH}
    assert body["config"] == CONFIG | {
        "volatile.base_image": "new",
        "image.os": "Debian",
        "user.lxdfleet.root": "op",
        "user.lxdfleet.trash": f"{UUID} trash-1-web 1800000000 1073741824",
    }


def test_nothing_is_put_in_place_of_one_that_has_not_let_go() -> None:
    with pytest.raises(LxdRefused):
        requests.put_in_place(web(), web(), SWAP)


def test_what_is_set_aside_twice_would_forget_what_it_had() -> None:
    there = as_lxd_has(requests.park(web(), "trash-1-web", 1), "web")

    with pytest.raises(LxdRefused):
        requests.park(there, "trash-2-web", 2)


@pytest.mark.parametrize("name", ["web", "w" * 63, "a-" * 31 + "b"])
def test_names_are_such_that_lxd_takes_and_no_two_operations_share(name: str) -> None:
    names = {*names_for("op-1", name), *names_for("op-2", name)}

    assert len(names) == 4
    assert all(re.fullmatch(r"[a-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]", one) for one in names)


@pytest.mark.parametrize(
    ("text", "trash"),
    [
        (f"{UUID} trash-1-web 1800000000 1024", ("trash-1-web", "2027-01-15T08:00:00Z", 1024)),
        (f"{UUID} trash-1-web 1800000000 0", ("trash-1-web", "2027-01-15T08:00:00Z", None)),
        (f"{UUID} trash-1-web soon", ("trash-1-web", "1970-01-01T00:00:00Z", None)),
        ("another trash-1-web 1800000000 1024", None),
        (UUID, None),
        ("", None),
    ],
)
def test_trash_is_that_of_the_instance_and_of_no_copy(text: str, trash: Any) -> None:
    found = trash_of({"volatile.uuid": UUID, parked_roots.TRASH: text})

    assert found == (trash and Trash(name=trash[0], until=trash[1], size=trash[2]))


def test_who_renames_or_copies_one_has_an_instance_of_his_own() -> None:
    config = {"volatile.uuid": UUID, parked_roots.PARKED: "trash-1-web 1800000000"}

    assert parked_root("default", "trash-1-web", config) is not None
    assert parked_root("default", "mine", config) is None
    assert parked_root("default", "", {"volatile.uuid": UUID}) is None
