"""A container of a NAT script was renamed and copied; its note `web 20144 S3cretPw 30100 30125` was
no note any more: its owner lost password and ports, and everybody else read the password.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from deploy.local import processes
from deploy.local.services import loopback_binds
from tests.support.broker import Vhost
from tests.support.fleet import Fleet, fleet_of
from tests.support.lxd import OwnLxd
from tests.support.polling import wait_until

PASSWORD, MASKED = "S3cretPw", "********"
FACTS = (20144, "30100-30125", PASSWORD)
NOTHING = (None, None, None)


@pytest.fixture
def fleet(own_lxd: OwnLxd, vhost: Vhost, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet whose `http` has the token; who has none may look, but at no secret."""
    token_file = tmp_path / "token"
    token_file.write_text("a-token-of-this-test-and-no-other")
    settings = {"FLEET_TOKEN_FILE": str(token_file), "FLEET_OPEN_NETWORKS": "127.0.0.0/8"}
    binds = loopback_binds(processes.free_port(), ipv6=False)
    with fleet_of({"h1": own_lxd}, vhost, tmp_path, binds, **settings) as running:
        yield running


def noted(name: str, password: str = PASSWORD) -> str:
    return f"{name} 20144 {password} 30100 30125"


def container(fleet: Fleet, name: str) -> str:
    """Create a container with the note of a script; return its full name."""
    full_name = fleet.on["h1"].name(name)
    return fleet.on["h1"].create(name, config={"user.description": noted(full_name)})


def copied(fleet: Fleet, name: str, to: str) -> str:
    """Do what `lxc copy` does; return the full name of the copy."""
    there = fleet.on["h1"].lxd.call("GET", f"/1.0/instances/{name}")
    kept = {key: there[key] for key in ("architecture", "devices", "profiles", "description")}
    config = {k: v for k, v in there["config"].items() if not k.startswith("volatile.")}
    source = {"type": "copy", "source": name}
    copy = {"name": fleet.on["h1"].name(to), "config": config, "source": source, **kept}
    fleet.on["h1"].lxd.call("POST", "/1.0/instances", copy)
    return str(copy["name"])


def moved(fleet: Fleet, name: str, to: str) -> str:
    """Do what `lxc move` does; return the new full name."""
    new = fleet.on["h1"].name(to)
    fleet.on["h1"].lxd.call("POST", f"/1.0/instances/{name}", {"name": new})
    return new


def seen(fleet: Fleet, name: str) -> dict[str, Any]:
    """Return the instance as its owner sees it, when it is known under this name alone."""

    def known() -> bool:
        listed = [each["name"] for each in fleet.http.get("/api/instances").json()]
        return name in listed

    wait_until(known, within_s=10)
    return dict(fleet.http.get(f"/api/instances/{name}").json())


def facts(fleet: Fleet, name: str) -> tuple[int | None, str | None, str | None]:
    shown = seen(fleet, name)
    return shown["ssh_port"], shown["nat_ports"], shown["root_password"]


def told_without_a_token(fleet: Fleet, name: str) -> str:
    """Return all that is told of an instance to who has no right to secrets."""
    with httpx.Client(base_url=fleet.url, timeout=30) as http:
        paths = (
            "/api/instances",
            f"/api/instances/{name}",
            f"/api/instances/{name}/resources",
            "/api/v1/vms?limit=100",
            f"/api/v1/vms/{name}",
            f"/api/v1/vms/{name}/ports",
            "/api/operations",
            "/metrics",
        )
        texts = [http.get(path).raise_for_status().text for path in paths]
        found = http.get("/api/v1/vms", params={"search": PASSWORD}).json()["data"]["vms"]
    with (
        connect(f"{fleet.ws_url}/ws/monitor") as monitor,
        connect(f"{fleet.ws_url}/ws/stream?topic=instances") as stream,
    ):
        streamed = [str(monitor.recv(timeout=10)), str(stream.recv(timeout=10))]
    assert found == []
    return "\n".join([*texts, *streamed])


@pytest.mark.attack
def test_a_note_is_masked_and_told_under_whatever_name(fleet: Fleet) -> None:
    web = container(fleet, "web")
    assert facts(fleet, web) == FACTS

    copy = copied(fleet, web, "copy")
    assert (facts(fleet, copy), facts(fleet, web)) == (NOTHING, FACTS)
    other = moved(fleet, web, "moved")
    # Now it may be the note of either, as soon as both events of the move are there.
    wait_until(lambda: (facts(fleet, copy), facts(fleet, other)) == (NOTHING, NOTHING), within_s=10)
    told = told_without_a_token(fleet, other) + told_without_a_token(fleet, copy)
    fleet.on["h1"].delete(copy)

    wait_until(lambda: facts(fleet, other) == FACTS, within_s=10)
    assert PASSWORD not in told
    assert json.dumps(noted(web, MASKED)) in told
    assert PASSWORD not in fleet.logs()


def test_a_rename_through_us_writes_the_new_name_into_the_note(fleet: Fleet) -> None:
    web = container(fleet, "web")
    seen(fleet, web)

    answer = fleet.http.post(f"/api/v1/vms/{web}/rename", json={"name": f"{web}-shop"})

    assert answer.status_code == 200, answer.text
    shop = f"{web}-shop"
    config = fleet.on["h1"].lxd.call("GET", f"/1.0/instances/{shop}")["config"]
    assert config["user.description"] == noted(shop)
    assert facts(fleet, shop) == FACTS
