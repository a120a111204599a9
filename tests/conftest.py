"""Fixtures for all rungs; those on real daemons start them only when a test asks."""

import gc
from collections.abc import Generator

import pytest

pytest_plugins = [
    "tests.support.attacks",
    "tests.support.broker",
    "tests.support.browser",
    "tests.support.left_out",
    "tests.support.lxd",
    "tests.support.lxd_project",
    "tests.support.order",
    "tests.support.postgresql",
    "tests.support.prometheus",
    "tests.support.reruns",
    "tests.support.seconds",
    "tests.support.fleet",  # after those it stands on: pytest has to rewrite them first
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
