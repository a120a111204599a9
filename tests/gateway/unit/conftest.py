import pytest

from tests.support.clock import FakeClock
from tests.support.core import Core


@pytest.fixture
def gateway() -> Core:
    return Core()


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()
