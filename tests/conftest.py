"""Fixtures for all rungs; those on real daemons start them only when a test asks."""

import gc
from collections.abc import Generator

import pytest

pytest_plugins = [
    "shared.testing.attacks",
    "shared.testing.broker",
    "shared.testing.browser",
    "shared.testing.left_out",
    "shared.testing.lxd",
    "shared.testing.lxd_project",
    "shared.testing.order",
    "shared.testing.postgresql",
    "shared.testing.prometheus",
    "shared.testing.reruns",
    "shared.testing.seconds",
    "shared.testing.fleet",  # after those it stands on: pytest has to rewrite them first
]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report a failure without collecting garbage meanwhile.

    What then runs may read source code, while pytest reads that of the test; Python before 3.11.8
    cannot parse twice at once (gh-106905), and the whole session would end.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
