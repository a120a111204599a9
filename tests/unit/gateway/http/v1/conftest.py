from __future__ import annotations

import pytest

from shared.testing.gateway_http import FakeGateway
from shared.testing.vms import gateway_of_vms


@pytest.fixture
def gateway() -> FakeGateway:
    return gateway_of_vms()
