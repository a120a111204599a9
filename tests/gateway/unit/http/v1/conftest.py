from __future__ import annotations

import pytest

from tests.support.gateway_http import FakeGateway
from tests.support.vms import gateway_of_vms


@pytest.fixture
def gateway() -> FakeGateway:
    return gateway_of_vms()
