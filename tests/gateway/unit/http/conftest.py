from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.gateway_http import FakeGateway


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
async def client(gateway: FakeGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client
