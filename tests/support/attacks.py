"""The attacks (`pytest.mark.attack`): how many cases hypothesis tries of each, and what held."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import settings

# For every run of the tests: few cases, and the same each time. `make attack` takes the other one.
settings.register_profile("short", deadline=None, derandomize=True, max_examples=100)
settings.register_profile("attack", deadline=None, max_examples=3000)
settings.load_profile("short")

_outcomes: dict[str, list[bool]] = defaultdict(list)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how an attack ended, or that it could not be begun."""
    if "attack" in report.keywords and (report.when == "call" or report.failed):
        _outcomes[_sentence(report.nodeid)].append(report.passed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say of each attack whether it held, those that did not first."""
    if not _outcomes:
        return
    tried = [outcome for outcomes in _outcomes.values() for outcome in outcomes]
    terminalreporter.section("attacks")
    for sentence, outcomes in sorted(_outcomes.items(), key=lambda each: (all(each[1]), each[0])):
        word = "held" if all(outcomes) else "BROKEN"
        times = f" ({len(outcomes)} ways)" if len(outcomes) > 1 else ""
        terminalreporter.line(f"{word:7} {sentence}{times}")
    terminalreporter.line(f"{sum(tried)} of {len(tried)} attacks held")


def _sentence(nodeid: str) -> str:
    name = nodeid.partition("[")[0].rpartition("::")[2]
    return name.removeprefix("test_").replace("_", " ")
