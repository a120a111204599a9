"""What a run of the tests did not test: said at its end, so that nobody takes a gap for success."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which suites were left out, wholly or in part, and why."""
    lines = left_out(terminalreporter.stats.get("skipped", []))
    if lines:
        terminalreporter.section("left out")
    for line in lines:
        terminalreporter.write_line(line)


def left_out(skipped: Iterable[pytest.TestReport]) -> list[str]:
    """Return a line for each suite and reason, with the number of its tests."""
    counts = Counter((_suite(report.nodeid), _reason(report)) for report in skipped)
    return [f"{suite}: {n} left out: {reason}" for (suite, reason), n in sorted(counts.items())]


def _suite(nodeid: str) -> str:
    return str(PurePosixPath(nodeid.partition("::")[0]).parent)


def _reason(report: pytest.TestReport) -> str:
    where_and_why = report.longrepr
    why = where_and_why[-1] if isinstance(where_and_why, tuple) else str(where_and_why)
    return why.removeprefix("Skipped: ")
