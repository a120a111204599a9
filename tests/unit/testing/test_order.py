from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from shared.testing import order


@dataclass
class Case:
    """What the order looks at."""

    name: str
    path: Path
    fixturenames: list[str] = field(default_factory=list)
    timeout: float | None = None

    def get_closest_marker(self, name: str) -> Any:
        return pytest.mark.timeout(self.timeout).mark if self.timeout else None


MEMORY, BUS, FLEET = Path("memory.py"), Path("bus.py"), Path("fleet.py")


def sorted_names(*tests: Case) -> list[str]:
    items = list(tests)
    order.pytest_collection_modifyitems(cast("list[pytest.Item]", items))
    return [test.name for test in items]


def test_a_file_that_takes_longer_begins_earlier_and_its_tests_stay_in_their_order() -> None:
    names = sorted_names(
        Case("b", MEMORY),
        Case("a", MEMORY, ["tmp_path"]),
        Case("needs a bus", BUS, ["vhost", "broker"]),
        Case("z", FLEET, ["fleet"]),
        Case("y", FLEET, ["fleet"]),
    )

    assert names == ["z", "y", "needs a bus", "b", "a"]


def test_one_that_was_given_more_time_is_expected_to_need_it() -> None:
    names = sorted_names(Case("on a bus", BUS, ["vhost"]), Case("in memory", MEMORY, timeout=300))

    assert names == ["in memory", "on a bus"]
