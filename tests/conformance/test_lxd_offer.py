"""What the double claims of creating instances, held against LXD itself."""

from __future__ import annotations

import uuid
from typing import Any

from tests.support.lxd_client import IMAGE, Client

UNUSED = "volatile.apply_template"


async def test_the_machine_tells_its_cpus_and_its_memory(client: Client) -> None:
    resources = await client.get("/1.0/resources")

    assert resources["cpu"]["total"] > 0
    assert 0 < resources["memory"]["used"] < resources["memory"]["total"]


async def test_an_image_is_told_under_its_alias_and_its_fingerprint(client: Client) -> None:
    alias = await client.get("/1.0/images/aliases/busybox")
    image = await client.get(f"/1.0/images/{alias['target']}")
    listed = await client.get("/1.0/images?recursion=1")
    urls = await client.get("/1.0/images")

    assert (alias["name"], alias["type"]) == ("busybox", "container")
    assert image["fingerprint"] == alias["target"]
    assert (image["type"], image["architecture"]) == ("container", "x86_64")
    assert "busybox" in [one["name"] for one in image["aliases"]]
    assert {"os", "release", "description"} <= set(image["properties"])
    assert image["size"] > 0
    assert image["fingerprint"] in [one["fingerprint"] for one in listed]
    assert f"/1.0/images/{image['fingerprint']}" in urls


async def test_networks_tell_their_type_and_whether_lxd_manages_them(client: Client) -> None:
    listed = await client.get("/1.0/networks?recursion=1")

    profile = await client.get("/1.0/profiles/default")
    name = profile["devices"]["eth0"]["network"]
    assert {"name", "type", "managed", "used_by", "status", "locations"} <= set(listed[0])
    assert ("lo", "loopback", False) in [
        (one["name"], one["type"], one["managed"]) for one in listed
    ]
    alone = await client.get(f"/1.0/networks/{name}")
    assert (alone["name"], alone["type"], alone["managed"]) == (name, "bridge", True)


async def test_a_new_instance_keeps_what_it_was_ordered_with(client: Client, name: str) -> None:
    wanted = _order(name)

    created = await client.carry_out("POST", "/1.0/instances", wanted)

    made = await client.get(f"/1.0/instances/{name}")
    assert created["status"] == "Success"
    assert wanted["config"].items() <= made["config"].items()
    assert made["devices"] == wanted["devices"]
    assert made["expanded_devices"]["root"]["size"] == wanted["devices"]["root"]["size"]
    assert (made["description"], made["profiles"]) == ("for the shop", ["default"])
    assert (made["type"], made["status"]) == ("container", "Stopped")


async def test_an_instance_is_marked_as_made_until_it_is_started(client: Client, name: str) -> None:
    await client.carry_out("POST", "/1.0/instances", _order(name))
    made = await client.get(f"/1.0/instances/{name}")

    await client.change(name, "start")

    started = await client.get(f"/1.0/instances/{name}")
    assert made["config"][UNUSED] == "create"
    assert made["last_used_at"].startswith("1970-01-01")
    assert UNUSED not in started["config"]
    assert started["last_used_at"] > "2026"


async def test_no_virtual_machine_is_made_of_an_image_for_containers(
    client: Client, name: str
) -> None:
    wanted = _order(name) | {"type": "virtual-machine"}

    answer = await client.ask("POST", "/1.0/instances", wanted)

    refusal = answer.body["error"]
    if answer.status == 202:
        operation = await client.ended(answer.body["operation"])
        refusal = operation["err"]
    assert refusal
    assert (await client.ask("GET", f"/1.0/instances/{name}")).status == 404


def _order(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "container",
        "description": "for the shop",
        "profiles": ["default"],
        "source": IMAGE,
        "config": {
            "volatile.uuid": str(uuid.uuid4()),
            "limits.cpu": "1",
            "limits.memory": str(64 << 20),
            "boot.autostart": "true",
            "cloud-init.user-data": "#cloud-config\n{}\n",
            "user.lxdfleet.name": "Web Server",
            "user.lxdfleet.label.tier": "front",
        },
        "devices": {"root": {"type": "disk", "path": "/", "pool": "default", "size": "1GiB"}},
    }
