"""The wire format of every released version can still be read, and none changes unnoticed.

`golden/VERSION/` holds messages as a release wrote them. They are never edited: a new version adds
a folder.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from shared.contracts import contract_lock
from shared.contracts.codec import decode, encode, own_version
from shared.contracts.errors import UnreadableMessage
from shared.contracts.events import Heartbeat, Inventory

GOLDEN = sorted(Path(__file__).parent.glob("golden/[0-9]*/*.json"))
BY_NAME = {message.__name__: message for message in contract_lock.MESSAGES}


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_message_of_a_released_version_is_read_without_loss(file: Path) -> None:
    written = json.loads(file.read_text())

    message = decode(BY_NAME[file.stem], file.read_bytes())

    assert _within(written, msgspec.to_builtins(message))


def _within(written: object, read: object) -> bool:
    if isinstance(written, dict) and isinstance(read, dict):
        return all(_within(value, read[key]) for key, value in written.items())
    if isinstance(written, list) and isinstance(read, (list, tuple)):
        return len(written) == len(read) and all(map(_within, written, read))
    return written == read


@pytest.mark.parametrize("message", contract_lock.MESSAGES, ids=lambda message: message.__name__)
def test_every_message_has_a_golden_one_of_its_version(message: type[msgspec.Struct]) -> None:
    file = Path(__file__).parent / "golden" / own_version(message) / f"{message.__name__}.json"

    assert set(json.loads(file.read_text())) == set(message.__struct_fields__)


def test_no_message_differs_from_the_lock() -> None:
    locked = json.loads(contract_lock.FILE.read_text())

    assert contract_lock.differences(locked, contract_lock.fingerprints()) == []


@pytest.mark.parametrize(
    ("locked", "now", "says"),
    [
        ({"A": "1.0 aa"}, {"A": "1.0 bb"}, "raise the version"),
        ({"A": "1.0 aa"}, {"A": "1.1 bb"}, "run make contract-lock"),
        ({}, {"A": "1.0 aa"}, "new -> 1.0 aa"),
        ({"A": "1.0 aa"}, {}, "1.0 aa -> gone"),
    ],
)
def test_a_change_is_told_with_what_to_do(
    locked: dict[str, str], now: dict[str, str], says: str
) -> None:
    (line,) = contract_lock.differences(locked, now)

    assert says in line


def test_unknown_fields_are_ignored() -> None:
    body = b'{"epoch":1,"sequence":2,"clock":"3","lxd_connected":true,"interval_s":2,"later":[]}'

    heartbeat = decode(Heartbeat, body)

    assert heartbeat.sequence == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"epoch": "one", "sequence": 1, "at": "", "instances": []}',
        b'{"epoch": 1, "sequence": 1, "at": ""}',
        b'{"epoch": 1, "sequence": 1, "at": "", "instances": [], "version": "2.0"}',
    ],
)
def test_what_cannot_be_read_is_an_unreadable_message(body: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        decode(Inventory, body)


def test_a_newer_minor_version_is_read() -> None:
    body = b'{"epoch": 1, "sequence": 1, "at": "", "instances": [], "version": "1.9"}'

    assert decode(Inventory, body).version == "1.9"


def test_encoding_and_decoding_returns_the_same_message() -> None:
    heartbeat = Heartbeat(epoch=1, sequence=2, clock="3.5", lxd_connected=True, interval_s=2.0)

    assert decode(Heartbeat, encode(heartbeat)) == heartbeat
