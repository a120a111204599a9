"""What no message may hold, however it is sent: one host's numbers and texts reach every reader."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from services.gateway.bus.wire import Reply
from shared.contracts import contract_lock, events
from shared.contracts.bounds import MOST_INSTANCES, clip
from shared.contracts.codec import decode, encode, from_wire, own_version, to_wire
from shared.contracts.errors import LxdRefused, UnreadableMessage
from shared.contracts.events import (
    Heartbeat,
    ImageServersRead,
    Inventory,
    OperationChanged,
    PolicyRunChanged,
    ProtectionReported,
    Sampled,
    SampledV1,
)
from shared.contracts.instance_config import ImageSource, NewInstance
from shared.contracts.operations import Arguments, Failure, Submission, failure_of
from shared.contracts.policies import (
    MOST_LISTED,
    Plan,
    PolicyRun,
    Protection,
    ProtectionState,
    RunRequest,
    RunState,
    Simulation,
    SimulationRequest,
    SnapshotMark,
)
from shared.contracts.policy_api import RunQuery
from shared.contracts.streams import DATA, MOST_DATA, from_message
from shared.contracts.worker_api import SnapshotList
from shared.platform.bus.checked_rpc import Call
from tests.support.builders import an_instance, an_operation

GOLDEN = Path(__file__).parent / "golden"

READ = (*contract_lock.MESSAGES, Reply, Call)
# What need not say what it is, and why nothing comes of that.
ANYTHING = {
    "Reply.result": "is read once more, as what the called method returns",
    "Call.args[]": "is read once more, as what the called method takes",
    "Call.kwargs[]": "is read once more, as what the called method takes",
    "RemoteError.exc_args": "is read once more, as the texts of one of our errors",
}


# Parts that are one of a few values.
FEW = (inspect.NoneType, inspect.BoolType, inspect.EnumType, inspect.LiteralType)


def without_bounds(part: inspect.Type, place: str) -> Iterator[str]:
    """Yield each place in a message where a value may be as large as its sender likes."""
    if not is_bounded(part) and place not in ANYTHING:
        yield place
    for inner, name in parts(part, place):
        yield from without_bounds(inner, name)


def is_bounded(part: inspect.Type) -> bool:
    match part:
        case inspect.IntType() | inspect.FloatType():
            return part.ge is not None and part.le is not None
        case inspect.StrType() | inspect.BytesType():
            return part.max_length is not None
        case inspect.DictType() | inspect.CollectionType():
            return part.max_length is not None
    return isinstance(part, (inspect.StructType, inspect.UnionType, *FEW))


def parts(part: inspect.Type, place: str) -> list[tuple[inspect.Type, str]]:
    match part:
        case inspect.StructType(cls=cls, fields=fields):
            return [(field.type, f"{cls.__name__}.{field.name}") for field in fields]
        case inspect.UnionType(types=types):
            return [(one, place) for one in types]
        case inspect.DictType(key_type=key, value_type=value):
            return [(key, f"{place}.key"), (value, f"{place}[]")]
        case inspect.CollectionType(item_type=item):
            return [(item, f"{place}[]")]
    return []


@pytest.mark.parametrize("kind", READ, ids=lambda kind: kind.__name__)
def test_every_field_of_a_message_has_a_bound_at_both_ends(kind: type[msgspec.Struct]) -> None:
    assert sorted(set(without_bounds(inspect.type_info(kind), kind.__name__))) == []


def test_every_event_has_a_number_of_bytes() -> None:
    assert events.MAX_BYTES.keys() == set(events.TYPES.values())


def test_a_creation_with_all_that_a_caller_may_give_fits_into_an_event() -> None:
    ordered = NewInstance(
        image=ImageSource(alias="x" * 255),
        cpu=1,
        memory=1,
        disk=1,
        description="\u4e2d" * 8192,
        labels={f"{number}{'x' * 61}": "\u4e2d" * 255 for number in range(64)},
        ssh_keys=("k" * 8192,) * 64,
    )
    made = an_instance(description=ordered.description, labels=ordered.labels)
    operation = an_operation(arguments=Arguments(create=ordered), after=made)

    event = OperationChanged(operation=operation)

    assert decode(OperationChanged, encode(event)) == event
    assert len(encode(event)) < events.MAX_BYTES[OperationChanged]


def test_a_run_that_pruned_a_great_deal_fits_into_an_event() -> None:
    run = PolicyRun(
        operation_id="x" * 36,
        policy_id="x" * 36,
        policy="p" * 63,
        revision=2**63 - 1,
        slot="2026-11-30T01:30:00Z",
        instance="i" * 63,
        uuid="x" * 36,
        state=RunState.FAILED,
        sequence=2**63 - 1,
        snapshot="\u4e2d" * 63,
        message="\u4e2d" * 8192,
        # LXD takes at most 63 characters.
        pruned=("\u4e2d" * 63,) * MOST_LISTED,
        pruned_count=10_000,
    )

    event = PolicyRunChanged(run=run)

    assert decode(PolicyRunChanged, encode(event)) == event
    assert len(encode(event)) < events.MAX_BYTES[PolicyRunChanged]


def test_a_report_of_the_most_instances_with_four_policies_each_fits_into_an_event() -> None:
    one = Protection(
        name="i" * 63,
        uuid="x" * 36,
        state=ProtectionState.UNPROTECTED,
        project="p" * 63,
        policies=("n" * 63,) * 4,
        newest_good="2026-11-30T01:32:07Z",
        snapshots=10_000,
        due="2026-12-01T01:30:00Z",
        failures=1000,
        code="insufficient_resources",
    )
    report = ProtectionReported(
        epoch=1, at="2026-11-30T01:32:07Z", instances=[one] * MOST_INSTANCES
    )

    assert len(encode(report)) < events.MAX_BYTES[ProtectionReported]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_no_number_is_without_a_value(number: float) -> None:
    message = changed(Sampled, "host.load_1", number)

    with pytest.raises(UnreadableMessage):
        decode(Sampled, json.dumps(message).encode())
    with pytest.raises(UnreadableMessage):
        from_wire(Sampled, message)


def test_a_text_is_cut_to_what_a_message_can_carry() -> None:
    # How Python reads a file's name of the bytes g\xff.
    assert clip("g\udcff\x00" + "x" * 9, 5) == "g\ufffd\ufffdxx"


def test_an_error_is_cut_to_what_a_message_can_carry() -> None:
    error = LxdRefused("x" * 10**6)

    failure = failure_of(error)

    assert from_wire(Failure, to_wire(failure)) == failure
    assert failure.values == list(error.values)


def changed(kind: type[msgspec.Struct], place: str, value: object) -> dict[str, object]:
    """Return the golden message of a kind with another value at `place`."""
    file = GOLDEN / own_version(kind) / f"{kind.__name__}.json"
    message: dict[str, object] = json.loads(file.read_text())
    part, (*way, last) = message, place.split(".")
    for step in way:
        part = part[int(step) if step.isdecimal() else step]  # type: ignore[assignment,index,call-overload]
    part[int(last) if last.isdecimal() else last] = value  # type: ignore[index]
    return message


@pytest.mark.parametrize(
    ("kind", "place", "value"),
    [
        (Sampled, "host.memory_total", 10**400),
        (Sampled, "host.memory_total", 2**63),
        (Sampled, "host.memory_used", -1),
        (Sampled, "host.cpu_cores", 2**40),
        (Sampled, "host.cpu_percent", 1e308),
        (Sampled, "host.cpu_percent", -0.1),
        (SampledV1, "instances.0.network_rx", 2**64),
        (Sampled, "instances.0.9", 2**64),
        (SampledV1, "instances.0.cpu_percent", 101),
        (Sampled, "instances.0.4", 101),
        (Heartbeat, "epoch", 2**63),
        (Heartbeat, "server_name", "x" * 256),
        (Inventory, "sequence", -1),
        (Inventory, "instances.0.name", ""),
        (Inventory, "instances.0.name", "x" * 64),
        (Inventory, "instances.0.name", "web\n"),
        (Inventory, "instances.0.name", "a\x00b"),
        (Inventory, "instances.0.memory_limit", 2**70),
        (Inventory, "instances.0.uuid", "x" * 256),
        (ImageServersRead, "servers.images.0.types", []),
        (ImageServersRead, "servers.images.0.types", ["vm"]),
        (ImageServersRead, "servers.images.0.aliases", ["a\n"]),
        (ImageServersRead, "servers.images.0.aliases", ["x" * 129]),
        (ImageServersRead, "servers.images.0.aliases", ["x"] * 9),
        (ImageServersRead, "servers.images.0.description", "x" * 256),
        (OperationChanged, "operation.progress", 2**70),
        (OperationChanged, "operation.after_epoch", -1),
        (OperationChanged, "operation.operation_id", "x" * 256),
        (OperationChanged, "operation.created_at", "zzzz"),
        (OperationChanged, "operation.finished_at", "2026-11-20T10:00:00"),
        (OperationChanged, "operation.finished_at", "\u0662026-11-20T10:00:00Z"),
        (Sampled, "interval_s", 1e9),
        (Sampled, "host.load_1", -1),
        (Inventory, "instances.0.description", "x" * 8193),
        (Inventory, "instances.0.labels", {str(number): "" for number in range(65)}),
        (Inventory, "instances.0.labels", {"x" * 256: ""}),
        (Inventory, "instances.0.user", {"description": "x" * 8193}),
        (Inventory, "instances.0.profiles", ["default"] * 65),
        (Inventory, "instances.0.networks", ["lxdbr0"] * 257),
        (Inventory, "version", "1." + "0" * 15),
        (PolicyRunChanged, "run.slot", "2026-11-30"),
        (PolicyRunChanged, "run.state", "taken "),
        (PolicyRunChanged, "run.policy", "every night"),
        (PolicyRunChanged, "run.message", "x" * 8193),
        (PolicyRunChanged, "run.pruned", ["s"] * 65),
        (PolicyRunChanged, "run.pruned_count", -1),
        (ProtectionReported, "instances.0.policies", ["p"] * 33),
        (ProtectionReported, "instances.0.newest_good", "soon"),
        (ProtectionReported, "instances.0.failures", 2**63),
        (ProtectionReported, "instances.0.state", "perhaps"),
        (Plan, "digest", "9f86"),
        (Plan, "clock", "1" * 256),
        (Plan, "at_once", 0),
        (Plan, "at_once", 1001),
        (Plan, "delay_s", 86_401),
        (Plan, "policies.0.name", "../x"),
        (Plan, "policies.0.schedule.cron", "*" * 256),
        (Plan, "policies.0.schedule.jitter_s", -1),
        (Plan, "policies.0.retention.keep_last", 10_001),
        (Plan, "policies.0.retention.keep_daily", -1),
        (Plan, "policies.0.retention.rule", "borg"),
        (Plan, "policies.0.selection.names", ["*"] * 257),
        (Plan, "policies.0.selection.labels", {str(number): "" for number in range(65)}),
        (Plan, "policies.0.pre.command", []),
        (Plan, "policies.0.pre.command", ["x"] * 65),
        (Plan, "policies.0.pre.timeout_s", 86_401),
        (SimulationRequest, "days", 1201),
        (SimulationRequest, "limit", 0),
        (Simulation, "instances.0.events.0.reasons", ["x"] * 65),
        (SnapshotMark, "tags", ["x"] * 257),
        (RunRequest, "at", "now"),
        (RunQuery, "limit", 1001),
        (RunQuery, "state", "lost"),
        (SnapshotList, "snapshots.0.tags", ["x" * 256]),
        (Submission, "arguments.pre.command", []),
        (Submission, "arguments.safety_snapshot", "x" * 256),
        (Submission, "arguments.create.copy_of.snapshot", "x" * 256),
    ],
)
def test_a_value_out_of_bounds_makes_a_message_unreadable(
    kind: type[msgspec.Struct], place: str, value: object
) -> None:
    message = changed(kind, place, value)

    with pytest.raises(UnreadableMessage):
        decode(kind, json.dumps(message).encode())
    with pytest.raises(UnreadableMessage):
        from_wire(kind, message)


def test_an_inventory_has_an_end() -> None:
    one = json.loads((GOLDEN / own_version(Inventory) / "Inventory.json").read_text())["instances"][
        0
    ]
    message = changed(Inventory, "instances", [one] * (MOST_INSTANCES + 1))

    with pytest.raises(UnreadableMessage):
        from_wire(Inventory, message)


def test_a_frame_of_a_stream_has_an_end() -> None:
    with pytest.raises(UnreadableMessage):
        from_message(DATA, b"x" * (MOST_DATA + 1))
