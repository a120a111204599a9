"""A new instance made of a snapshot: what it shares with the other one, and what it must not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import (
    FleetError,
    InstanceExists,
    InstanceNotFound,
    InstanceReplaced,
    InsufficientResources,
    InvalidInput,
    SnapshotNotFound,
)
from shared.contracts.instance_config import ImageSource, Limits, NewInstance, SnapshotSource
from shared.contracts.operations import Arguments, Kind, State, Submission
from shared.lxd.models import SnapshotContent
from tests.support.builders import GIB, MIB, NEW_UUID, a_submission
from tests.support.lxd_worker.bench import Bench, outcome

SOURCE = SnapshotSource(instance="web", uuid="u-web", snapshot="s1")
CONTENT = SnapshotContent(
    name="s1",
    architecture="x86_64",
    profiles=("default", "web"),
    config={
        "image.os": "Debian",
        "user.lxdfleet.name": "The Shop",
        "user.lxdfleet.label.tier": "front",
        "user.lxdfleet.operation": "op-of-web",
        "user.lxdfleet.trash": "u-web trash-1 5 0",
        "user.description": "web 20001 secret",
        "user.other": "kept",
    },
    devices={
        "root": {"type": "disk", "path": "/", "pool": "fast", "size": "2GiB"},
        "eth0": {
            "type": "nic",
            "network": "lxdbr0",
            "name": "eth0",
            "hwaddr": "00:16:3e:00:00:01",
            "ipv4.address": "10.0.0.9",
            "limits.ingress": "8Mbit",
        },
        "ssh": {"type": "proxy", "listen": "tcp:0.0.0.0:20001", "connect": "tcp:127.0.0.1:22"},
        "data": {"type": "disk", "path": "/data", "source": "/srv/data"},
    },
    expanded_config={"limits.cpu": "2"},
    expanded_devices={
        "http": {"type": "proxy", "listen": "tcp:0.0.0.0:80", "connect": "tcp:127.0.0.1:80"}
    },
)


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.lxd.contents["web", "s1"] = CONTENT
    return bench


def order(source: SnapshotSource = SOURCE, **fields: Any) -> Submission:
    sizes = {"cpu": 2, "memory": 64 * MIB, "disk": GIB}
    new = NewInstance(image=ImageSource(), copy_of=source, **(sizes | fields))
    return a_submission(Kind.CREATE, "new", Arguments(create=new), uuid=NEW_UUID)


def test_it_has_all_that_two_instances_can_have(bench: Bench) -> None:
    operation = bench.carry_out(
        order(display_name="Shop 2", labels={"tier": "test"}, description="a copy")
    )

    assert outcome(operation) == (State.DONE, None)
    (body,) = bench.lxd.requests
    assert body["source"] == {"type": "copy", "source": "web/s1"}
    assert (body["architecture"], body["profiles"]) == ("x86_64", ["default", "web"])
    assert (body["name"], body["description"], body["type"]) == ("new", "a copy", "container")
    assert body["devices"] == {
        "root": {"type": "disk", "path": "/", "pool": "fast", "size": str(GIB)},
        "eth0": {
            "type": "nic",
            "network": "lxdbr0",
            "name": "eth0",
            "limits.ingress": "8Mbit",
        },
        "ssh": {"type": "none"},
        "http": {"type": "none"},
    }
    assert body["config"] == {
        "volatile.uuid": NEW_UUID,
        "boot.autostart": "false",
        "limits.memory": str(64 * MIB),
        "user.lxdfleet.operation": "op",
        "user.lxdfleet.name": "Shop 2",
        "user.lxdfleet.label.tier": "test",
        "user.lxdfleet.trash": "",
        "user.description": "",
    }
    assert bench.lxd.asked == [Step.CREATE]


def test_it_is_started_only_on_request(bench: Bench) -> None:
    bench.carry_out(order(auto_start=True))

    assert bench.lxd.asked == [Step.CREATE, Step.START]
    assert bench.lxd.requests[0]["config"]["boot.autostart"] == "true"


def test_limits_that_have_changed_since_are_those_that_the_host_counts(bench: Bench) -> None:
    bench.carry_out(order(cpu=1))

    assert bench.lxd.requests[0]["config"]["limits.cpu"] == "1"


def test_what_has_no_limit_gets_none(bench: Bench) -> None:
    bench.carry_out(order(cpu=0, memory=0, disk=0))

    (body,) = bench.lxd.requests
    assert body["devices"]["root"]["size"] == "2GiB"
    assert "limits.memory" not in body["config"]


@pytest.mark.parametrize(
    ("source", "fields", "error"),
    [
        (replace(SOURCE, instance="nope"), {}, InstanceNotFound),
        (replace(SOURCE, instance="../x"), {}, InvalidInput),
        (replace(SOURCE, uuid="u-old"), {}, InstanceReplaced),
        (replace(SOURCE, snapshot="nope"), {}, SnapshotNotFound),
        (SOURCE, {"type": "virtual-machine"}, InvalidInput),
        (SOURCE, {"ssh": True}, InvalidInput),
        (SOURCE, {"ports": 1}, InvalidInput),
        (SOURCE, {"ssh_keys": ("ssh-ed25519 A",)}, InvalidInput),
        (SOURCE, {"limits": Limits(ingress=10_000)}, InvalidInput),
        (SOURCE, {"image": ImageSource(alias="debian")}, InvalidInput),
        (SOURCE, {"disk": 1 << 60}, InsufficientResources),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_no_trace(
    bench: Bench, source: SnapshotSource, fields: dict[str, Any], error: type[FleetError]
) -> None:
    with pytest.raises(error):
        bench.operations.submit(
            a_submission(
                Kind.CREATE,
                "new",
                Arguments(
                    create=NewInstance(
                        **({"image": ImageSource(), "cpu": 1, "memory": MIB, "disk": MIB} | fields),
                        copy_of=source,
                    )
                ),
                uuid=NEW_UUID,
            )
        )

    assert bench.journal.length == 0


def test_a_name_that_is_in_use_is_refused(bench: Bench) -> None:
    with pytest.raises(InstanceExists):
        bench.operations.submit(replace(order(), instance="db"))


def test_it_takes_no_secrets(bench: Bench) -> None:
    with pytest.raises(InvalidInput):
        bench.operations.prepare(order())


def test_of_a_copy_that_is_not_whole_nothing_is_left(bench: Bench) -> None:
    bench.lxd.half_made = True
    bench.lxd.unanswered.add(Step.CREATE)
    bench.lxd.forgetful = True
    operation = bench.carry_out(order())

    assert operation.state is State.FAILED
    assert "new" not in bench.lxd.holds
