import pytest

from shared.testing.core import Core


@pytest.fixture
def gateway() -> Core:
    return Core()
