import pytest

from shared.testing import seconds


def ended(nodeid: str, duration: float, when: str = "call") -> pytest.TestReport:
    return pytest.TestReport(nodeid, ("", 0, ""), {}, "passed", None, when, duration=duration)


def test_a_line_tells_how_long_the_tests_of_a_folder_took_with_all_that_they_need() -> None:
    lines = seconds.by_folder(
        [
            ended("tests/unit/shared/test_a.py::a", 0.25),
            ended("tests/integration/gateway/test_b.py::b", 3.0, "setup"),
            ended("tests/integration/gateway/test_b.py::b", 1.5),
            ended("tests/integration/platform/test_c.py::c", 2.0),
        ]
    )

    assert lines == ["    6.5 tests/integration: 2 tests", "    0.2 tests/unit: 1 tests"]
