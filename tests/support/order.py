"""Let the longest files begin first, so that at the end no process works while the others wait.

How long a file takes is estimated by what its tests use; a test that was given more time than the
others is taken at its word.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

# About how many seconds a test on a real daemon takes that uses the fixture.
SECONDS = {
    "own_broker": 12.0,
    "own_lxd": 8.0,
    "prepare": 8.0,
    "fleet": 7.0,
    "sampler": 5.0,
    "instances": 4.0,
    "vhost": 1.5,
    "broker": 1.0,
    "lxd": 1.0,
}
DAEMONS = ("broker", "lxd")
WITHOUT_DAEMON_S = 0.05
PART_OF_TIMEOUT = 0.25


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files; the tests of a file stay together, in their order."""
    seconds: defaultdict[Path, float] = defaultdict(float)
    for item in items:
        seconds[item.path] += estimated_s(item)
    items.sort(key=lambda item: (-seconds[item.path], item.path))


def estimated_s(item: pytest.Item) -> float:
    """Return about how long a test takes."""
    if timeout := item.get_closest_marker("timeout"):
        return float(timeout.args[0]) * PART_OF_TIMEOUT
    if not any(item.get_closest_marker(daemon) for daemon in DAEMONS):
        return WITHOUT_DAEMON_S
    return max(SECONDS.get(name, 1.0) for name in ("lxd", *getattr(item, "fixturenames", ())))
