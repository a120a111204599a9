import json

import pytest

from services.gateway.adapters import wire
from shared.contracts.errors import (
    AmbiguousName,
    BrokerUnavailable,
    FleetError,
    PermanentError,
    TemporaryError,
    UnreadableMessage,
)


def failed(exc_type: str, *exc_args: object) -> bytes:
    error = {"exc_type": exc_type, "exc_path": "x", "exc_args": exc_args, "value": "text"}
    return json.dumps({"result": None, "error": error}).encode()


def test_a_call_carries_its_arguments_as_nameko_has_them() -> None:
    assert json.loads(wire.call(["op-1", 5])) == {"args": ["op-1", 5], "kwargs": {}}


@pytest.mark.parametrize("value", [None, 5, {"a": [1]}])
def test_a_result_is_returned_as_it_is(value: object) -> None:
    assert wire.result(json.dumps({"result": value, "error": None}).encode()) == value


def test_a_known_error_is_raised_with_its_values() -> None:
    with pytest.raises(AmbiguousName) as raised:
        wire.result(failed("AmbiguousName", "web", "h1, h2"))

    assert raised.value.values == ("web", "h1, h2")


def test_a_known_error_without_values_is_raised() -> None:
    with pytest.raises(BrokerUnavailable):
        wire.result(failed("BrokerUnavailable"))


@pytest.mark.parametrize(
    "body",
    [
        failed("KeyError", "x"),
        failed("AmbiguousName", "web"),
        failed("AmbiguousName", "web", 7),
        failed("HostOnFire", "h1"),
    ],
)
def test_an_unknown_error_is_permanent_and_of_no_named_kind(body: bytes) -> None:
    with pytest.raises(FleetError) as raised:
        wire.result(body)

    assert type(raised.value) is PermanentError
    assert not isinstance(raised.value, TemporaryError)


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"error": 5}'])
def test_an_answer_that_is_none_cannot_be_read(body: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        wire.result(body)
