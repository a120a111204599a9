"""How long each part of the tests took: a line for each, at the end of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

import pytest

# Folders that each service has; the others are a part of their own, such as `e2e`.
OF_EACH_SERVICE = {"unit", "integration"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lines; pytest itself says how long all took."""
    listed = (report for reports in terminalreporter.stats.values() for report in reports)
    lines = by_part(report for report in listed if isinstance(report, pytest.TestReport))
    if len(lines) < 2:
        return
    terminalreporter.section("seconds, in all processes together")
    for line in lines:
        terminalreporter.write_line(line)


def by_part(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Return a line for each part, the longest first.

    A test has several reports: of what it needs, of itself, and of each time it was tried.
    """
    seconds: defaultdict[str, float] = defaultdict(float)
    tests: defaultdict[str, set[str]] = defaultdict(set)
    for report in reports:
        part = _part(report.nodeid)
        seconds[part] += report.duration
        tests[part].add(report.nodeid)
    longest_first = sorted(seconds, key=lambda part: -seconds[part])
    return [f"{seconds[part]:7.1f} {part}: {len(tests[part])} tests" for part in longest_first]


def _part(nodeid: str) -> str:
    folders = PurePosixPath(nodeid.partition("::")[0]).parent.parts
    return next((each for each in folders if each in OF_EACH_SERVICE), "/".join(folders[1:2]))
