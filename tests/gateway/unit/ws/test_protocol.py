"""What a viewer sends can be refused, whatever it is."""

from __future__ import annotations

import pytest

from services.gateway.ws import console
from services.gateway.ws.protocol import decode_message
from shared.contracts.errors import InvalidInput

NESTED = "[" * 100_000


@pytest.mark.attack
@pytest.mark.parametrize(
    "message",
    [
        pytest.param(f'{{"x":{NESTED}', id="lists in lists"),
        pytest.param(f'{{"type":"resize","x":{NESTED}', id="lists in lists of a known type"),
        pytest.param(b'{"type":"\xff"}', id="no UTF-8"),
        pytest.param('{"type":"subscribe","after":' + "1" * 5000, id="5000 digits"),
    ],
)
def test_a_message_that_cannot_be_read_is_refused(message: str | bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_message(message)
    with pytest.raises(InvalidInput):
        console._decode(message)
