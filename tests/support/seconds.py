"""How long each part of the tests took: a line for each folder, at the end of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lines; pytest itself says how long all took."""
    listed = (report for reports in terminalreporter.stats.values() for report in reports)
    lines = by_folder(report for report in listed if isinstance(report, pytest.TestReport))
    if len(lines) < 2:
        return
    terminalreporter.section("seconds, in all processes together")
    for line in lines:
        terminalreporter.write_line(line)


def by_folder(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Return a line for each of the folders of tests, the longest first.

    A test has several reports: of what it needs, of itself, and of each time it was tried.
    """
    seconds: defaultdict[str, float] = defaultdict(float)
    tests: defaultdict[str, set[str]] = defaultdict(set)
    for report in reports:
        folder = "/".join(PurePosixPath(report.nodeid.partition("::")[0]).parent.parts[:3])
        seconds[folder] += report.duration
        tests[folder].add(report.nodeid)
    longest_first = sorted(seconds, key=lambda folder: -seconds[folder])
    return [f"{seconds[each]:7.1f} {each}: {len(tests[each])} tests" for each in longest_first]
