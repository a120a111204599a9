"""Root's password inside real containers, and inside guests that only the double has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from services.lxd_worker.lxd.passwords import GuestPasswords
from shared.contracts.codec import encode
from shared.contracts.errors import InstanceNotRunning, OutcomeUnknown, PasswordNotSet
from shared.contracts.operations import Kind, Operation, State, Submission
from shared.lxd.client import LxdClient
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.support.broker import Broker, Vhost, fresh_vhost
from tests.support.bus_side import BusSide, submission
from tests.support.lxd import Instances, Lxd
from tests.support.polling import wait_until
from tests.support.worker_process import WorkerProcess

from .conftest import running_worker

NEW = "n3w-Passw0rd"
# Stands in for the one that busybox has not: it keeps what it reads, says it aloud, and keeps what
# others could see.
CHPASSWD = """\
mkdir -p /usr/sbin
cat >/usr/sbin/chpasswd <<'END'
#!/bin/sh
tee /root/given >&2
cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ >/root/seen 2>/dev/null
sleep 1
exit $(cat /root/status)
END
chmod 755 /usr/sbin/chpasswd
echo {status} >/root/status
"""


@pytest.fixture(scope="module")
def real(
    broker: Broker, lxd: Lxd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Vhost, WorkerProcess]]:
    """A worker of the real LXD, on a virtual host of its own."""
    with (
        fresh_vhost(broker) as vhost,
        running_worker(vhost, lxd, tmp_path_factory.mktemp("worker")) as process,
    ):
        yield vhost, process


@pytest.fixture
def worker(real: tuple[Vhost, WorkerProcess]) -> WorkerProcess:
    return real[1]


@pytest.fixture
def on_lxd(real: tuple[Vhost, WorkerProcess]) -> Iterator[BusSide]:
    """A gateway's side of that worker's bus."""
    vhost = real[0]
    side = BusSide(vhost.uri, vhost.host_exchange("h1"))
    yield side
    side.close()


def run(instances: Instances, name: str, script: str) -> int:
    """Run a script inside a container; return its exit status."""
    body = {"command": ["/bin/sh", "-c", script]}
    return int(instances.lxd.call("POST", f"/1.0/instances/{name}/exec", body)["return"])


def with_chpasswd(instances: Instances, status: int = 0, **fields: Any) -> str:
    name = instances.launch(**fields)
    assert run(instances, name, CHPASSWD.format(status=status)) == 0
    return name


def described(instances: Instances, name: str) -> dict[str, Any]:
    return dict(instances.lxd.call("GET", f"/1.0/instances/{name}"))


def order(instances: Instances, name: str) -> Submission:
    uuid = instances.lxd.uuid_of(name)
    return submission(Kind.PASSWORD, name, uuid)


def ended(bus: BusSide, wanted: Submission, password: str = NEW) -> Operation:
    assert bus.prepare(wanted).state is State.ACCEPTED
    bus.deliver_secrets(wanted.operation_id, root_password=password)
    return bus.ended(wanted.operation_id)


def outcome(operation: Operation) -> tuple[State, list[str]]:
    return operation.state, operation.failure.values if operation.failure else []


def all_commands() -> bytes:
    """Return what every process of this machine was started with."""
    found = b""
    for process in Path("/proc").glob("[0-9]*"):
        for file in ("cmdline", "environ"):
            with suppress(OSError):
                found += (process / file).read_bytes()
    return found


@pytest.mark.attack
def test_chpasswd_reads_it_and_nobody_else_sees_it(
    on_lxd: BusSide, instances: Instances, worker: WorkerProcess
) -> None:
    name = with_chpasswd(instances)
    wanted = order(instances, name)
    on_lxd.prepare(wanted)
    on_lxd.deliver_secrets(wanted.operation_id, root_password=NEW)

    listed = b""
    deadline = time.monotonic() + 0.8
    while time.monotonic() < deadline:
        listed += all_commands()
    operation = on_lxd.ended(wanted.operation_id)

    assert outcome(operation) == (State.DONE, [])
    given = f"test \"$(cat /root/given)\" = 'root:{NEW}' && test $(wc -l </root/given) = 1"
    assert run(instances, name, given) == 0
    assert run(instances, name, f"grep -q '{NEW}' /root/seen") == 1
    assert b"chpasswd" in listed
    assert NEW.encode() not in listed
    kept = [worker.log, *Path(worker.environment["FLEET_STATE_DIR"]).iterdir()]
    assert not [file for file in kept if NEW.encode() in file.read_bytes()]
    assert not [event for event in on_lxd.events if NEW.encode() in encode(event)]


def test_where_an_older_one_is_noted_the_note_follows(
    on_lxd: BusSide, instances: Instances
) -> None:
    note = f"{instances.name('c')} 20144 old 30100 30125"
    config = {"user.description": note, "user.root_password": "old", "user.other": "x"}
    name = with_chpasswd(instances, description="the shop", config=config)
    before = described(instances, name)

    operation = ended(on_lxd, order(instances, name))

    after = described(instances, name)
    assert outcome(operation) == (State.DONE, [])
    assert after["config"] == before["config"] | {
        "user.description": f"{name} 20144 {NEW} 30100 30125",
        "user.root_password": NEW,
    }
    kept = ("description", "devices", "profiles", "ephemeral", "architecture")
    assert [after[key] for key in kept] == [before[key] for key in kept]
    assert operation.after is not None
    assert operation.after.user["root_password"] == NEW


def test_a_note_in_lxds_own_description_follows_too(on_lxd: BusSide, instances: Instances) -> None:
    name = with_chpasswd(instances, description=f"{instances.name('c')} 20144 old")

    ended(on_lxd, order(instances, name))

    assert described(instances, name)["description"] == f"{name} 20144 {NEW}"


def test_a_guest_without_chpasswd_says_so(on_lxd: BusSide, instances: Instances) -> None:
    config = {"user.root_password": "old"}
    name = instances.launch(config=config)

    operation = ended(on_lxd, order(instances, name))

    assert outcome(operation) == (State.FAILED, [name, "there is no chpasswd in it"])
    assert described(instances, name)["config"]["user.root_password"] == "old"


def test_a_chpasswd_that_refuses_says_with_which_status(
    on_lxd: BusSide, instances: Instances
) -> None:
    name = with_chpasswd(instances, status=1)

    operation = ended(on_lxd, order(instances, name))

    assert outcome(operation) == (State.FAILED, [name, "its chpasswd ended with status 1"])
    assert NEW.encode() not in encode(operation)


def test_a_stopped_guest_and_a_paused_one_are_sent_nothing(
    on_lxd: BusSide, instances: Instances
) -> None:
    name = instances.create()
    with pytest.raises(InstanceNotRunning):
        on_lxd.prepare(order(instances, name))

    instances.set_state(name, "start")
    instances.set_state(name, "freeze")

    with pytest.raises(PasswordNotSet, match="it is paused"):
        on_lxd.prepare(order(instances, name))


def test_a_chpasswd_that_does_not_end_is_killed_and_nobody_says_that_it_has_failed(
    instances: Instances,
) -> None:
    name = with_chpasswd(instances)
    assert run(instances, name, "printf '#!/bin/sh\\nexec sleep 77\\n' >/usr/sbin/chpasswd") == 0
    socket = str(instances.lxd.socket)
    impatient = GuestPasswords(LxdClient(socket, "h1"), timeout_s=1)

    with pytest.raises(OutcomeUnknown):
        impatient.set("default", name, NEW)

    wait_until(lambda: run(instances, name, "ps | grep -q '[s]leep 77'") == 1, within_s=10)


def on_double(bus: BusSide, double: LxdDouble, name: str) -> Operation:
    uuid = double.instance(name).config["volatile.uuid"]
    return ended(bus, submission(Kind.PASSWORD, name, uuid))


@pytest.mark.usefixtures("worker_on_double")
def test_a_virtual_machine_without_its_agent_says_so(bus: BusSide, double: LxdDouble) -> None:
    double.add(DoubledInstance("vm", type="virtual-machine", status="Running"))
    double.faults.failures["exec"] = "LXD VM agent isn't currently running"

    operation = on_double(bus, double, "vm")

    reason = "the agent of the virtual machine does not run"
    assert outcome(operation) == (State.FAILED, ["vm", reason])


@pytest.mark.usefixtures("worker_on_double")
def test_what_lxd_itself_refuses_is_told_in_its_words(bus: BusSide, double: LxdDouble) -> None:
    double.add(DoubledInstance("web", status="Running"))
    double.faults.failures["exec"] = "Failed to retrieve PID of executing child process"

    operation = on_double(bus, double, "web")

    assert outcome(operation) == (
        State.FAILED,
        ["Failed to retrieve PID of executing child process"],
    )


@pytest.mark.usefixtures("worker_on_double")
def test_a_virtual_machine_with_its_agent_gets_it(bus: BusSide, double: LxdDouble) -> None:
    double.add(DoubledInstance("vm", type="virtual-machine", status="Running"))

    operation = on_double(bus, double, "vm")

    assert outcome(operation) == (State.DONE, [])
    assert double.instance("vm").passwords == [f"root:{NEW}\n".encode()]
