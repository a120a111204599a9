from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from shared.testing import order


@dataclass
class Case:
    """What the order looks at."""

    name: str
    path: Path
    fixturenames: list[str] = field(default_factory=list)
    marker: pytest.MarkDecorator = field(default_factory=lambda: pytest.mark.attack)

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self.marker.mark if self.marker.name == name else None


MEMORY, BUS, FLEET = Path("memory.py"), Path("bus.py"), Path("fleet.py")


def sorted_names(*tests: Case) -> list[str]:
    items = list(tests)
    order.pytest_collection_modifyitems(cast("list[pytest.Item]", items))
    return [test.name for test in items]


def test_a_file_that_takes_longer_begins_earlier_and_its_tests_stay_in_their_order() -> None:
    names = sorted_names(
        Case("b", MEMORY),
        Case("a", MEMORY, ["tmp_path"]),
        Case("needs a bus", BUS, ["vhost", "broker"], pytest.mark.broker),
        Case("z", FLEET, ["fleet"], pytest.mark.lxd),
        Case("y", FLEET, ["fleet"], pytest.mark.lxd),
    )

    assert names == ["z", "y", "needs a bus", "b", "a"]


def test_one_that_was_given_more_time_is_expected_to_need_it() -> None:
    names = sorted_names(
        Case("on a bus", BUS, ["vhost"], pytest.mark.broker),
        Case("in memory", MEMORY, marker=pytest.mark.timeout(300)),
    )

    assert names == ["in memory", "on a bus"]


def test_a_fixture_of_the_same_name_in_memory_is_none_of_a_daemon() -> None:
    names = sorted_names(
        Case("of a fake", MEMORY, ["fleet"]), Case("on a bus", BUS, ["vhost"], pytest.mark.broker)
    )

    assert names == ["on a bus", "of a fake"]
