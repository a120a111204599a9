"""The answer of a GET was sent back by PUT unchanged, and refused with 400, where LXD held what may
not be written through the API: a root disk of size 0, 400 kB of memory, a label of two lines, ports
on a host without a pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local import processes
from deploy.local.services import loopback_binds
from tests.support.broker import Vhost
from tests.support.fleet import Fleet, fleet_of
from tests.support.lxd import OwnLxd
from tests.support.polling import wait_until

LABEL = "user.lxdfleet.label."


@pytest.fixture
def fleet(own_lxd: OwnLxd, vhost: Vhost, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet whose host has no pool of ports."""
    binds = loopback_binds(processes.free_port(), ipv6=False)
    with fleet_of({"h1": own_lxd}, vhost, tmp_path, binds) as running:
        yield running


@pytest.fixture
def odd(fleet: Fleet) -> str:
    """The path of an instance that is set to what nobody may write through the API."""
    ssh = {"listen": "tcp:127.0.0.9:20144", "connect": "tcp:127.0.0.1:22"}
    web = {"listen": "tcp:127.0.0.9:30000-30009", "connect": "tcp:127.0.0.1:30000-30009"}
    name = fleet.on["h1"].create(
        "odd",
        description="d" * 9000,
        config={
            "limits.memory": "400kB",
            "limits.cpu": "0-1",
            f"{LABEL}two words": "x",
            f"{LABEL}lines": "1\n2",
            f"{LABEL}long": "l" * 300,
        },
        devices={
            "root": {"type": "disk", "path": "/", "pool": pool(fleet), "size": "0"},
            "ssh": {"type": "proxy", **ssh},
            "forward-0": {"type": "proxy", **web},
        },
    )
    path = f"/api/v1/vms/{name}"
    wait_until(lambda: fleet.http.get(path).is_success, within_s=10)
    return path


def pool(fleet: Fleet) -> str:
    default = fleet.on["h1"].lxd.call("GET", "/1.0/profiles/default")
    return str(default["devices"]["root"]["pool"])


def shown(fleet: Fleet, path: str) -> tuple[dict[str, Any], dict[str, str]]:
    answer = fleet.http.get(path).raise_for_status()
    return dict(answer.json()["data"]), {"If-Match": answer.headers["etag"]}


def lxds(fleet: Fleet, path: str) -> dict[str, Any]:
    there = fleet.on["h1"].lxd.call("GET", f"/1.0/instances/{path.rpartition('/')[2]}")
    return {key: there[key] for key in ("config", "devices", "description")}


def done(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


def test_what_is_shown_can_be_sent_back_and_changes_nothing(fleet: Fleet, odd: str) -> None:
    before = lxds(fleet, odd)

    for path in (odd, f"{odd}/ports"):
        data, unchanged = shown(fleet, path)
        done(fleet.http.put(path, json=data, headers=unchanged))

    assert lxds(fleet, odd) == before


def test_one_change_changes_nothing_else(fleet: Fleet, odd: str) -> None:
    before = lxds(fleet, odd)
    vm, _ = shown(fleet, odd)
    ports, _ = shown(fleet, f"{odd}/ports")

    labels = {**vm["labels"], "new": "y"}
    done(fleet.http.put(odd, json={**vm, "autoStart": True, "labels": labels}))
    ssh = [each for each in ports["forwards"] if each["connect"] == 22]
    fewer = done(fleet.http.put(f"{odd}/ports", json={**ports, "forwards": ssh}))

    after = lxds(fleet, odd)
    new = {"boot.autostart": "true", f"{LABEL}new": "y"}
    assert after["config"] == before["config"] | new
    assert after["description"] == before["description"]
    assert after["devices"] == {k: v for k, v in before["devices"].items() if k != "forward-0"}
    assert (fewer["ssh"], fewer["forwards"]) == (20144, ssh)


def test_what_is_not_as_shown_is_still_judged(fleet: Fleet, odd: str) -> None:
    data, _ = shown(fleet, odd)

    answer = fleet.http.put(odd, json={**data, "cpu": 0, "labels": {"lines": "1\n3"}})

    assert answer.status_code == 400
    errors = answer.json()["error"]["details"]["errors"]
    assert {error["field"] for error in errors} == {"cpu", "labels.lines"}
