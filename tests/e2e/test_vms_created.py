"""Creating VMs on a real LXD, and what the document's own clients do with them.

The document's clients expect port 3000, and that nobody else has a VM called `web-server`.
"""

import json
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from deploy.local import processes
from deploy.local.console_page import NODE
from deploy.local.services import has_ipv6_loopback, loopback_binds
from tests.support.broker import Broker, fresh_vhost
from tests.support.documents import VMS_API, run_example
from tests.support.fleet import Fleet, fleet_of
from tests.support.image_server import ALIAS, IMAGE, ImageServer, image_server
from tests.support.lxd import Lxd, daemon_of_its_own
from tests.support.polling import wait_until

PORT = 3000
# Ours for a while: other checkouts on this machine test with the same port.
PORT_LOCK = Path(tempfile.gettempdir()) / f"lxdfleet-port-{PORT}.lock"

VMS = "/api/v1/vms"
TEMPLATES = """
ubuntu20.04: {alias: busybox, os: ubuntu20.04, description: stands in for it}
unreachable: {remote: "images:none", os: none}
"""
SMALL = {"template": "ubuntu20.04", "cpu": 1, "memory": 64, "disk": 1}
FINAL = {"done", "failed", "cancelled", "rejected", "unknown"}


@pytest.fixture(scope="module")
def lab() -> Iterator[ImageServer]:
    with image_server() as running:
        yield running


@pytest.fixture(scope="module")
def created_fleet(
    broker: Broker, lab: ImageServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Fleet, Lxd]]:
    directory = tmp_path_factory.mktemp("fleet")
    templates = directory / "templates.yaml"
    templates.write_text(TEMPLATES)
    # None from which the kernel connects.
    first = 11000 + secrets.randbelow(210) * 100
    settings = {
        "FLEET_TEMPLATES_FILE": str(templates),
        "FLEET_IMAGE_REMOTES": (
            f"images=https://127.0.0.1:1,odd={lab.address}/odd,lab={lab.address}"
        ),
        "FLEET_NAT_ADDRESS": "127.0.0.1",
        "FLEET_NAT_SSH_PORTS": f"{first}-{first + 9}",
        "FLEET_NAT_PORTS": f"{first + 10}-{first + 99}",
        "FLEET_OVERCOMMIT_CPU": "1000",
    }
    binds = loopback_binds(PORT, ipv6=has_ipv6_loopback())
    with processes.file_lock(PORT_LOCK), daemon_of_its_own() as own, fresh_vhost(broker) as vhost:
        assert processes.bindable(PORT), f"something else listens on port {PORT}"
        with fleet_of({"h1": own}, vhost, directory, binds, **settings) as running:
            yield running, own


@pytest.fixture
def fleet(created_fleet: tuple[Fleet, Lxd]) -> Iterator[Fleet]:
    """The fleet, without any VM before and after."""
    running, _ = created_fleet
    wait_until(lambda: has_the_template(running), within_s=20)
    yield running
    for vm in listed(running):
        running.http.delete(f"{VMS}/{vm['id']}?force=true")
    assert listed(running) == []


def has_the_template(fleet: Fleet) -> bool:
    """Tell whether the host has said that it has the image of the first template."""
    first = fleet.http.get("/api/v1/templates").json()["data"]["templates"][0]
    return bool(first["hosts"])


@pytest.fixture
def lxd(created_fleet: tuple[Fleet, Lxd]) -> Lxd:
    return created_fleet[1]


def listed(fleet: Fleet) -> list[dict[str, Any]]:
    return list(fleet.http.get(f"{VMS}?limit=100").json()["data"]["vms"])


def create(fleet: Fleet, **wanted: Any) -> dict[str, Any]:
    answer = fleet.http.post(VMS, json=SMALL | wanted)
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["data"])


def one(fleet: Fleet, vm_id: str) -> dict[str, Any]:
    answer = fleet.http.get(f"{VMS}/{vm_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


def completed(fleet: Fleet, vm_id: str) -> dict[str, Any]:
    """Return the VM when it is being created no longer; it is there all the time."""

    def once_there() -> dict[str, Any] | None:
        vm = one(fleet, vm_id)
        return None if vm["status"] == "creating" else vm

    return wait_until(once_there, within_s=60, every_s=0.02)


def run(language: str, *command: str, more: str) -> Any:
    return json.loads(run_example(VMS_API, language, "使用示例", *command, more=more))


def test_the_javascript_client_creates_and_starts_a_vm(fleet: Fleet, lxd: Lxd) -> None:
    more = "console.log(JSON.stringify(await vmManager.getVms({ status: 'running', limit: 5 })))"

    page = run("javascript", NODE, "--input-type=module", "-", more=more)

    assert_that_it_is_the_documents(page, lxd)


def test_the_python_client_creates_and_starts_a_vm(fleet: Fleet, lxd: Lxd) -> None:
    more = """
import json
manager = VmManager('http://localhost:3000/api/v1', 'your-token')
print(json.dumps(asyncio.run(manager.get_vms({'status': 'running', 'limit': 5}))))
"""

    page = run("python", sys.executable, "-", more=more)

    assert_that_it_is_the_documents(page, lxd)


def assert_that_it_is_the_documents(page: dict[str, Any], lxd: Lxd) -> None:
    [vm] = page["data"]["vms"]
    assert (page["success"], page["data"]["pagination"]["total"]) == (True, 1)
    assert (vm["name"], vm["status"]) == ("web-server", "running")
    assert (vm["cpu"], vm["memory"], vm["disk"]) == (2, 2048, 20)
    there = lxd.call("GET", "/1.0/instances/web-server")
    assert there["status"] == "Running"
    assert (there["config"]["limits.cpu"], there["config"]["volatile.uuid"]) == ("2", vm["id"][3:])


def test_a_new_vm_is_there_all_the_time_until_it_is_complete(fleet: Fleet) -> None:
    vm = create(fleet, name="Web Server", labels={"team": "shop"})

    assert vm["id"] in {each["id"] for each in listed(fleet)}
    done = completed(fleet, vm["id"])
    assert (done["name"], done["instance"], done["status"]) == (
        "Web Server",
        "web-server",
        "stopped",
    )
    assert (done["cpu"], done["memory"], done["disk"]) == (1, 64, 1)
    assert (done["labels"], done["progress"]) == ({"team": "shop"}, None)


def test_the_progress_of_a_creation_is_streamed(fleet: Fleet) -> None:
    with connect(f"{fleet.ws_url}/ws/stream?topic=operations") as stream:
        json.loads(stream.recv(timeout=10))
        vm = create(fleet, name="streamed")

        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["state"] not in FINAL:
            message = json.loads(stream.recv(timeout=30))
            changed = message.get("changed", {})
            seen += [changed[vm["operation"]]] if vm["operation"] in changed else []

    assert (seen[-1]["state"], seen[-1]["kind"], seen[-1]["progress"]) == ("done", "create", 100)
    assert "of 1 able" in seen[-1]["placement"]


def test_actions_sent_during_the_creation_are_carried_out_after_it(fleet: Fleet, lxd: Lxd) -> None:
    vm = create(fleet, name="busy")

    started = fleet.http.post(f"{VMS}/{vm['id']}/start")
    paused = fleet.http.post(f"{VMS}/{vm['id']}/pause")

    assert (started.status_code, started.json()["data"]["status"]) == (200, "running")
    assert (paused.status_code, paused.json()["data"]["status"]) == (200, "paused")
    assert lxd.call("GET", "/1.0/instances/busy")["status"] == "Frozen"


def test_one_that_is_started_with_its_creation_runs(fleet: Fleet) -> None:
    vm = create(fleet, name="eager", autoStart=True)

    done = completed(fleet, vm["id"])

    assert (done["status"], done["autoStart"]) == ("running", True)


def test_a_creation_that_fails_leaves_nothing_but_its_reason(fleet: Fleet, lxd: Lxd) -> None:
    vm = create(fleet, name="hopeless", template="unreachable")

    failed = completed(fleet, vm["id"])

    assert failed["status"] == "error"
    assert failed["error"]
    assert listed(fleet) == []
    assert lxd.call("GET", "/1.0/instances") == []
    operation = fleet.http.get(f"/api/operations/{vm['operation']}").json()
    assert operation["state"] == "failed"


def served(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """Return the templates that image servers have."""
    there = fleet.http.get("/api/v1/templates").json()["data"]["templates"]
    return {each["id"]: each for each in there if ":" in each["id"]}


def test_what_an_image_server_has_is_listed_and_others_do_not_matter(fleet: Fleet) -> None:
    wait_until(lambda: served(fleet), within_s=20)

    shown = served(fleet)
    wrong = fleet.http.post(VMS, json=SMALL | {"name": "wrong", "template": "lab:busybox/9"})

    assert list(shown) == ["lab:busybox/1", "lab:busybox/latest"]
    assert shown["lab:busybox/1"] == {
        "id": "lab:busybox/1",
        "os": "busybox1",
        "type": "container",
        "types": ["container"],
        "description": "BusyBox 1",
        "images": [],
        "hosts": [],
        "remote": "lab",
    }
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert "lab:busybox/1" in wrong.json()["error"]["details"]["errors"][0]["message"]


def test_a_vm_is_made_of_an_image_that_is_downloaded_for_it(fleet: Fleet, lab: ImageServer) -> None:
    wait_until(lambda: served(fleet), within_s=20)
    lab.hold()
    vm = create(fleet, name="fetched", template=f"lab:{ALIAS}", autoStart=True)

    def is_half_fetched() -> bool:
        # A download is half of a creation.
        return one(fleet, vm["id"])["progress"] in {24, 25}

    try:
        wait_until(is_half_fetched, within_s=20)
        meanwhile = one(fleet, vm["id"])
    finally:
        lab.release()
    done = completed(fleet, vm["id"])
    again = create(fleet, name="again", template=f"lab:{ALIAS}")

    assert (meanwhile["status"], meanwhile["os"]) == ("creating", "busybox1")
    assert (done["status"], done["os"]) == ("running", "busybox1")
    assert completed(fleet, again["id"])["status"] == "stopped"
    assert lab.asked.count(f"/{IMAGE}") == 1


def test_a_second_vm_of_the_name_is_refused(fleet: Fleet) -> None:
    create(fleet, name="Web Server")

    again = fleet.http.post(VMS, json=SMALL | {"name": "Web Server"})
    other = create(fleet, name="web server")

    assert (again.status_code, again.json()["error"]["code"]) == (409, "VM_ALREADY_EXISTS")
    assert completed(fleet, other["id"])["instance"] == "web-server-2"


def test_what_the_host_cannot_promise_is_refused(fleet: Fleet) -> None:
    answer = fleet.http.post(VMS, json=SMALL | {"name": "huge", "memory": 2**30})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INSUFFICIENT_RESOURCES")
    [lack] = answer.json()["error"]["details"]["lacks"]["h1"]
    assert lack["what"] == "memory"


def test_a_bridge_that_is_not_there_is_told_with_those_that_are(fleet: Fleet) -> None:
    wrong = {"name": "lost", "network": {"type": "bridge", "bridge": "br-nix"}}

    answer = fleet.http.post(VMS, json=SMALL | wrong)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    [told] = answer.json()["error"]["details"]["errors"]
    assert told["field"] == "network"
    bridge = told["message"].split()[1].rstrip(",")
    vm = create(fleet, name="found", network={"type": "bridge", "bridge": bridge})
    assert completed(fleet, vm["id"])["networks"] == [bridge]


def test_ports_are_given_out_shown_and_changed(fleet: Fleet) -> None:
    vm = create(fleet, name="shop", ssh=True, ports=3, rootPassword="pa55!word")
    completed(fleet, vm["id"])
    path = f"{VMS}/{vm['id']}/ports"

    given = fleet.http.get(path).json()["data"]
    ssh, block = given["forwards"]
    detail = fleet.http.get("/api/instances/shop").json()
    changed = fleet.http.put(path, json={**given, "forwards": [ssh, {"connect": 8080}]})
    other = create(fleet, name="rival", ssh=True)
    completed(fleet, other["id"])
    taken = {"forwards": [{"connect": 80, "listen": given["ssh"]}]}
    refused = fleet.http.put(f"{VMS}/{other['id']}/ports", json=taken)

    assert (given["address"], given["ssh"], ssh["connect"]) == ("127.0.0.1", ssh["listen"], 22)
    assert block["count"] == 3
    assert (detail["ssh_port"], detail["root_password"]) == (given["ssh"], "pa55!word")
    assert changed.status_code == 200
    assert [each["connect"] for each in changed.json()["data"]["forwards"]] == [22, 8080]
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "PORT_IN_USE")


def test_one_action_is_carried_out_on_all_that_are_selected(fleet: Fleet) -> None:
    made = [create(fleet, name=f"many {n}", labels={"tier": "many"}) for n in range(3)]
    create(fleet, name="another")
    selector = {"label": ["tier=many"]}

    started = fleet.http.post(f"{VMS}/actions", json={"action": "start", "selector": selector})
    again = fleet.http.post(
        f"{VMS}/actions", json={"action": "start", "ids": [made[0]["id"], "vm-nix"]}
    )

    data = started.json()["data"]
    assert (data["succeeded"], data["failed"]) == (3, 0)
    assert {each["id"] for each in data["results"]} == {each["id"] for each in made}
    assert {each["status"] for each in data["results"]} == {"running"}
    codes = [each["error"]["code"] for each in again.json()["data"]["results"]]
    assert codes == ["VM_ALREADY_RUNNING", "VM_NOT_FOUND"]
