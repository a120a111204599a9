"""Let the longest files begin first, so that at the end no process works while the others wait.

How long a file takes is estimated by what its tests use; a test that was given more time than the
others is taken at its word.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

# About how many seconds a test takes that uses the fixture.
SECONDS = {
    "own_broker": 12.0,
    "own_lxd": 8.0,
    "fleet": 7.0,
    "prepare": 5.0,
    "sampler": 5.0,
    "instances": 3.0,
    "start_process": 3.0,
    "vhost": 1.5,
    "broker": 1.0,
    "lxd": 1.0,
}
OF_ITS_TIMEOUT = 0.3


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files; the tests of a file stay together, in their order."""
    seconds: defaultdict[Path, float] = defaultdict(float)
    for item in items:
        seconds[item.path] += estimated_s(item)
    items.sort(key=lambda item: (-seconds[item.path], item.path))


def estimated_s(item: pytest.Item) -> float:
    """Return about how long a test takes."""
    timeout = item.get_closest_marker("timeout")
    given = timeout.args[0] * OF_ITS_TIMEOUT if timeout else 0.0
    return max([given, *(SECONDS.get(name, 0.0) for name in getattr(item, "fixturenames", ()))])
