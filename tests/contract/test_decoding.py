"""Whatever bytes come, reading them ends in a message or in `UnreadableMessage`, never otherwise.

A reader that let another error out would stop, or get the same message again and again.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway.bus.wire import Reply
from shared.contracts import contract_lock
from shared.contracts.codec import decode, encode, from_wire, own_version, to_wire
from shared.contracts.errors import UnreadableMessage
from shared.contracts.operations import Operation

pytestmark = pytest.mark.attack

GOLDEN = Path(__file__).parent / "golden"
KINDS = (*contract_lock.MESSAGES, Reply)
EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
# Of each kind of message: all together have several times as many as the profile says.
SOME_OF_EACH = settings(
    max_examples=max(60, settings().max_examples // 10), suppress_health_check=list(HealthCheck)
)

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
ANY_NUMBER = st.integers() | st.floats() | st.integers(10**19, 10**400)
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | ANY_NUMBER | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


def example(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return a message of the kind that can be read."""
    if kind is Reply:
        return {"result": {"a": [1]}, "error": {"exc_type": "LxdRefused", "exc_args": ["no"]}}
    file = GOLDEN / own_version(kind) / f"{kind.__name__}.json"
    message: dict[str, Any] = json.loads(file.read_text())
    return message


def read(kind: type[msgspec.Struct], body: bytes) -> None:
    """Read a message if it can be; what was read can be sent on and read again."""
    with suppress(UnreadableMessage):
        message = decode(kind, body)
        assert decode(kind, encode(message)) == message


def convert(kind: type[msgspec.Struct], value: object) -> None:
    if kind is Reply:
        return  # It comes as bytes only.
    with suppress(UnreadableMessage):
        message = from_wire(kind, value)
        assert from_wire(kind, to_wire(message)) == message


@EACH_KIND
@SOME_OF_EACH
@given(body=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(kind: type[msgspec.Struct], body: bytes) -> None:
    read(kind, body)


@EACH_KIND
@SOME_OF_EACH
@given(value=ANY_VALUE)
def test_any_json_is_read_or_refused(kind: type[msgspec.Struct], value: object) -> None:
    read(kind, json.dumps(value).encode())
    convert(kind, value)


@EACH_KIND
@SOME_OF_EACH
@given(data=st.data())
def test_a_message_with_any_value_anywhere_is_read_or_refused(
    kind: type[msgspec.Struct], data: st.DataObject
) -> None:
    message = example(kind)
    replaced(message, data)

    read(kind, json.dumps(message).encode())
    convert(kind, message)


@EACH_KIND
@SOME_OF_EACH
@given(data=st.data())
def test_a_message_with_any_bytes_anywhere_is_read_or_refused(
    kind: type[msgspec.Struct], data: st.DataObject
) -> None:
    body = json.dumps(example(kind)).encode()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(start + 8, len(body))))

    read(kind, body[:start] + data.draw(st.binary(max_size=8)) + body[end:])


def replaced(message: dict[str, Any], data: st.DataObject) -> None:
    """Put any value in place of one that stands anywhere in the message, or beside it."""
    part: Any = message
    while True:
        place = data.draw(
            st.sampled_from(list(part) if isinstance(part, dict) else range(len(part)))
        )
        inner = part[place]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            break
        part = inner
    part[place] = data.draw(ANY_VALUE)
    message[data.draw(ANY_TEXT)] = data.draw(ANY_VALUE)


@EACH_KIND
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("[" * 100_000 + "]" * 100_000, id="lists in lists"),
        pytest.param('{"a":' * 100_000 + "1" + "}" * 100_000, id="tables in tables"),
        pytest.param("[" * 100_000, id="lists without an end"),
        pytest.param("1" * 5000, id="a number of 5000 digits"),
        pytest.param("-" + "1" * 5000, id="a negative number of 5000 digits"),
        pytest.param("1e99999", id="a number beyond any"),
        pytest.param("NaN", id="no number"),
        pytest.param('"\\ud800"', id="half a surrogate pair"),
    ],
)
def test_a_message_with_an_odd_value_of_any_field_is_read_or_refused(
    kind: type[msgspec.Struct], value: str
) -> None:
    for field in (*kind.__struct_fields__, "later"):
        message = example(kind) | {field: None}

        read(kind, json.dumps(message).replace(f'"{field}": null', f'"{field}": {value}').encode())


@pytest.mark.parametrize("odd", ["\ud800", "g\udcff"])
def test_text_that_is_no_unicode_is_not_taken_over(odd: str) -> None:
    message = example(Operation) | {"step": odd}

    with pytest.raises(UnreadableMessage):
        from_wire(Operation, message)


@pytest.mark.parametrize("size", [10, 10**6])
def test_the_reason_of_a_refusal_does_not_repeat_the_message(size: int) -> None:
    body = json.dumps(example(Operation) | {"state": "x" * size}).encode()

    with pytest.raises(UnreadableMessage) as refused:
        decode(Operation, body)

    assert len(refused.value.reason) <= 500
