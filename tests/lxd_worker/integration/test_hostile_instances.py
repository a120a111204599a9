"""What a real LXD lets people write of one instance costs no other one of the host."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import httpx
import pytest

from services.lxd_worker.instances.description import MOST_BYTES
from shared.contracts.codec import encode
from shared.contracts.events import Inventory
from shared.contracts.instances import Instance
from shared.contracts.operations import Kind, State
from tests.support.bus_side import BusSide, submission
from tests.support.lxd import Instances
from tests.support.worker_process import WorkerProcess

pytestmark = pytest.mark.attack

# LXD takes the year 1 for no time at all, and any other for what it is.
LAST_YEAR = b"9999-12-31T23:59:59.999999999Z"
FORCE = {"force": True}
CREATED_AT = re.compile(rb"(\bcreated_at: )[^\n]*")


def told(bus: BusSide, *names: str) -> list[Instance]:
    """Return what a new inventory says of instances."""
    so_far = len(bus.of(Inventory))
    bus.call("publish_inventory")
    inventory = bus.until(lambda: bus.of(Inventory)[so_far:])[-1]
    found = {one.name: one for one in inventory.instances}
    return [found[name] for name in names]


def test_an_instance_with_a_megabyte_of_text_is_told_in_its_room(
    bus: BusSide, instances: Instances, worker: WorkerProcess
) -> None:
    labels = {f"user.lxdfleet.label.k{n}": "\u4e2d" * 300 for n in range(200)}
    texts = {"user.ssh_port": "9" * 100_000, "user.lxdfleet.name": "n" * 1000}
    large = instances.create(
        "large", description="\u4e2d" * 300_000, config={"limits.cpu": "1", **labels, **texts}
    )
    small = instances.create("small", description="web 20001 secret", config={"limits.cpu": "2"})

    of_large, of_small = told(bus, large, small)

    assert len(encode(of_large)) <= MOST_BYTES
    assert (of_large.cpu_limit, of_large.display_name) == ("1", "n" * 255)
    assert (of_small.cpu_limit, of_small.description) == ("2", "web 20001 secret")
    bus.call("publish_inventory")
    assert len([line for line in worker.logged("left out") if line["of"].endswith(large)]) == 1


@pytest.mark.usefixtures("worker")
def test_an_instance_with_a_megabyte_of_text_is_operated_like_any_other(
    bus: BusSide, instances: Instances
) -> None:
    labels = {f"user.lxdfleet.label.k{n}": "x" * 1000 for n in range(200)}
    name = instances.launch(description="\x01" * 100_000, config=labels)
    found = instances.lxd.uuid_of(name)

    for kind, arguments in ((Kind.STOP, {"force": True}), (Kind.START, {}), (Kind.DELETE, FORCE)):
        wanted = submission(kind, name, found, arguments=arguments)
        assert bus.carry_out(wanted).state is State.DONE


@pytest.mark.usefixtures("worker")
def test_an_imported_backup_may_be_of_any_year(bus: BusSide, instances: Instances) -> None:
    old, small = instances.create("old"), instances.create("small")
    backup = made_in(LAST_YEAR, exported(instances, old))
    instances.delete(old)
    imported(instances, backup)

    of_old, of_small = told(bus, old, small)

    assert of_old.created_at == ""
    assert of_small.created_at.startswith("20")


def exported(instances: Instances, name: str) -> bytes:
    """Return a backup of an instance as an archive that is not compressed."""
    path = f"/1.0/instances/{name}/backups"
    instances.lxd.call("POST", path, {"name": "b", "compression_algorithm": "none"})
    with client(instances.lxd.socket) as http:
        return http.get(f"http://lxd{path}/b/export").raise_for_status().content


def imported(instances: Instances, backup: bytes) -> None:
    """Have LXD make an instance of a backup."""
    headers = {"Content-Type": "application/octet-stream"}
    with client(instances.lxd.socket) as http:
        answer = http.post("http://lxd/1.0/instances", content=backup, headers=headers)
    instances.lxd.call("GET", f"{answer.raise_for_status().json()['operation']}/wait")


def made_in(moment: bytes, backup: bytes) -> bytes:
    """Return the backup with another time of creation."""
    changed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(backup)) as was,
        tarfile.open(fileobj=changed, mode="w") as now,
    ):
        for member in was:
            body = was.extractfile(member) if member.isreg() else None
            if body is None:
                now.addfile(member)
                continue
            content = body.read()
            if member.name.endswith(("index.yaml", "backup.yaml")):
                content = CREATED_AT.sub(rb"\g<1>" + moment, content)
                member.size = len(content)
            now.addfile(member, io.BytesIO(content))
    return changed.getvalue()


def client(socket: Path) -> httpx.Client:
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=60)
