import pytest

from tests.support import left_out


def skipped(nodeid: str, reason: str) -> pytest.TestReport:
    where_and_why = ("file.py", 1, f"Skipped: {reason}")
    return pytest.TestReport(nodeid, ("", 0, ""), {}, "skipped", where_and_why, "setup")


def test_a_line_tells_the_suite_the_number_and_the_reason() -> None:
    reports = [skipped(f"tests/integration/worker/test_a.py::{n}", "no LXD") for n in "ab"]

    lines = left_out.left_out([*reports, skipped("tests/e2e/test_b.py::c", "no broker")])

    assert lines == [
        "tests/e2e: 1 left out: no broker",
        "tests/integration/worker: 2 left out: no LXD",
    ]


def test_a_full_run_left_nothing_out() -> None:
    assert left_out.left_out([]) == []
