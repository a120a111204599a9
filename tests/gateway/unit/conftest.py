import pytest

from tests.support.core import Core


@pytest.fixture
def gateway() -> Core:
    return Core()
