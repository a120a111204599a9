import asyncio
import dataclasses
import json
import tracemalloc
from operator import attrgetter

import pytest

from services.gateway.bus import wire
from services.gateway.operations.merge import proves_not_started
from shared.contracts.errors import (
    BY_CODE,
    FleetError,
    OutcomeUnknown,
    SnapshotNotFound,
    TemporaryError,
    UnreadableMessage,
    WorkerFailed,
    WorkerOutdated,
)
from shared.contracts.worker_api import ERRORS, Call, WorkerClient


def failed(exc_type: str, *exc_args: object) -> bytes:
    error = {"exc_type": exc_type, "exc_path": "x", "exc_args": exc_args, "value": "text"}
    return json.dumps({"result": None, "error": error}).encode()


def test_a_call_carries_its_arguments_as_nameko_has_them() -> None:
    assert json.loads(wire.encode_call(["op-1", 5])) == {"args": ["op-1", 5], "kwargs": {}}


@pytest.mark.parametrize("value", [5, {"a": [1]}])
def test_a_result_is_returned_as_it_came(value: object) -> None:
    found = wire.decode_reply(json.dumps({"result": value, "error": None}).encode(), "h1")

    assert found is not None
    assert json.loads(bytes(found)) == value


@pytest.mark.parametrize("body", [b'{"result": null , "error": null}', b"{}"])
def test_no_result_is_none(body: bytes) -> None:
    assert wire.decode_reply(body, "h1") is None


MANY_LISTS = b"[" + b"[]," * 300_000 + b"[]]"


@pytest.mark.attack
@pytest.mark.parametrize(
    "body",
    [
        b'{"result": ' + MANY_LISTS + b"}",
        b'{"error": {"exc_type": "LxdRefused", "exc_args": ' + MANY_LISTS + b"}}",
    ],
    ids=["result", "error"],
)
def test_nothing_is_made_of_the_values_of_an_answer_that_no_method_gives(body: bytes) -> None:
    worker = WorkerClient(answering(body))

    tracemalloc.start()
    try:
        with pytest.raises((UnreadableMessage, WorkerFailed)):
            asyncio.run(worker.resolve("h1", "op-1"))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 4 * len(body)


def answering(body: bytes) -> Call:
    """Return a call that gets this answer."""

    async def call(host: str, method: str, args: list[object]) -> object:
        return wire.decode_reply(body, host)

    return call


def raised_by(body: bytes) -> FleetError:
    with pytest.raises(FleetError) as raised:
        wire.decode_reply(body, "h1")
    return raised.value


def test_an_error_of_a_worker_is_raised_with_its_values() -> None:
    error = raised_by(failed("SnapshotNotFound", "web", "monday"))

    assert isinstance(error, SnapshotNotFound)
    assert error.values == ("web", "monday")


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_that_a_worker_has_cause_to_raise_is_raised_here(
    kind: type[FleetError],
) -> None:
    values = ["1"] * len(dataclasses.fields(kind))  # type: ignore[arg-type]

    assert type(raised_by(failed(kind.__name__, *values))) is kind


@pytest.mark.attack
def test_a_host_speaks_of_itself_only() -> None:
    error = raised_by(failed("InsufficientResources", "h2", "memory", "2", "1"))

    assert error.values == ("h1", "memory", "2", "1")


@pytest.mark.attack
@pytest.mark.parametrize(
    "kind", sorted(set(BY_CODE.values()) - set(ERRORS), key=attrgetter("code"))
)
def test_what_would_be_believed_of_others_is_the_failure_of_the_host(
    kind: type[FleetError],
) -> None:
    values = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()

    error = raised_by(failed(kind.__name__, *["h2"] * len(values)))

    assert isinstance(error, WorkerFailed | OutcomeUnknown)
    assert error.values[0] == "h1"
    assert not proves_not_started(error)


@pytest.mark.parametrize(
    "body",
    [
        failed("KeyError", "x"),
        failed("SnapshotNotFound", "web"),
        failed("SnapshotNotFound", "web", 7),
        failed("HostOnFire", "h1"),
    ],
)
def test_an_unknown_error_is_the_failure_of_its_worker(body: bytes) -> None:
    error = raised_by(body)

    assert isinstance(error, WorkerFailed)
    assert not isinstance(error, TemporaryError)
    assert str(error).endswith(": text")


def test_a_worker_without_the_method_is_too_old_and_has_begun_nothing() -> None:
    error = raised_by(failed("MethodNotFound", "prepare"))

    assert isinstance(error, WorkerOutdated)
    assert proves_not_started(error)


@pytest.mark.attack
@pytest.mark.parametrize(
    "error",
    [
        {"exc_type": "LxdRefused", "exc_args": ["x" * 10**6]},
        {"exc_type": "x" * 10**6, "exc_args": [], "value": "x" * 10**6},
        {"exc_type": "InvalidInput", "exc_args": ["x" * 10**6, "y" * 10**6]},
        {"exc_type": "LxdRefused", "exc_args": ["x"] * 10**5},
    ],
)
def test_what_a_worker_says_is_clipped(error: dict[str, object]) -> None:
    told = raised_by(json.dumps({"result": None, "error": error}).encode())

    assert len(str(told)) < 2000


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"error": 5}'])
def test_an_answer_that_is_none_cannot_be_read(body: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        wire.decode_reply(body, "h1")
