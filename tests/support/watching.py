"""What the tests of both live streams have in common: a gateway in real time, and its viewers."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from services.gateway.settings import HttpSettings
from tests.support.gateway_http import LOOPBACK, FakeGateway


def gateway(settings: HttpSettings = LOOPBACK) -> FakeGateway:
    """Return a gateway for which time goes by as it does."""
    return FakeGateway(settings, monotonic=time.monotonic)


async def message(viewer: ClientConnection) -> Any:
    """Return the next message; fail the test when none comes."""
    return json.loads(await asyncio.wait_for(viewer.recv(), 10))


async def refusal(stream: connect) -> tuple[int, str]:
    """Return the status and code with which a stream is refused; fail the test if it opens."""
    with pytest.raises(InvalidStatus) as refused:
        await stream
    response = refused.value.response
    return response.status_code, json.loads(response.body or b"{}")["code"]
