"""Fail a session in which a test passed only when it was tried again: it is a bug all the same.

With `--list-flaky` such tests are listed and the session passes. pytest-rerunfailures has
`--fail-on-flaky`, which sees nothing under pytest-xdist: there the tests run in other processes
than the one whose exit status counts.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--list-flaky", action="store_true", help="list flaky tests, and pass")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Let the session fail where it would have passed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    fails = not session.config.getoption("--list-flaky")
    if fails and exitstatus == pytest.ExitCode.OK and reporter is not None and flaky(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count them; pytest lists them itself."""
    if found := flaky(terminalreporter):
        listed = terminalreporter.config.getoption("--list-flaky")
        end = "" if listed else ", so this run fails"
        text = f"RERUN: {len(found)} passed only the second time{end}"
        terminalreporter.write_line(text, red=True)
        for report in terminalreporter.stats["rerun"]:
            if report.nodeid in found:
                terminalreporter.write_line(f"  {report.nodeid} ({report.when}): {why(report)}")


def why(report: pytest.TestReport) -> str:
    """Return the first line of what a test failed with."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr).partition("\n")[0]


def flaky(reporter: pytest.TerminalReporter) -> set[str]:
    """Return the tests that failed and, tried again, did not."""
    of = {
        outcome: {report.nodeid for report in reporter.stats.get(outcome, ())}
        for outcome in ("rerun", "failed", "error")
    }
    return of["rerun"] - of["failed"] - of["error"]
